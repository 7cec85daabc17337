"""Valkey as the gateway sees it: nothing there is worth waiting for, and while it is away it is left alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from services.gateway import entry as entries
from services.gateway.entry import Entry
from services.gateway.metrics import Metrics
from services.kernel import tagcache
from services.kernel.clock import Clock
from services.kernel.tagcache import Hit, Miss, TagCache
from services.kernel.valkey import AWAY

log = logging.getLogger(__name__)

QUIET_SECONDS = 0.5
"""Valkey is not asked again for so long after a failure, so that nobody pays for its time-out twice."""
_POLL_SECONDS = 0.01


class Shared:
    def __init__(self, cache: TagCache, clock: Clock, metrics: Metrics) -> None:
        self._cache = cache
        self._clock = clock
        self._metrics = metrics
        self._quiet_until = 0.0

    @property
    def away(self) -> bool:
        return self._clock.monotonic() < self._quiet_until

    async def look(self, key: str, tags: Sequence[str]) -> tuple[Entry | None, Miss | None]:
        """What is kept, and what a fill needs; neither when Valkey is away."""
        if self.away:
            return None, None
        try:
            found = await self._cache.read(key, tags)
        except AWAY as error:
            self._failed(error)
            return None, None
        if isinstance(found, Hit):
            return entries.decode(found.data), _again(key, tags, found)
        return None, found

    async def turn(self, miss: Miss) -> tuple[Entry | None, Miss | None]:
        """As `look`, after waiting for another reader's fill, or at most for as long as its lease lasts."""
        give_up = self._clock.monotonic() + tagcache.LEASE_SECONDS
        kept: Entry | None = None
        latest: Miss | None = miss
        while kept is None and latest is not None and latest.token is None and self._clock.monotonic() < give_up:
            await asyncio.sleep(_POLL_SECONDS)
            kept, latest = await self.look(miss.key, miss.tags)
        return kept, latest

    async def fill(self, miss: Miss, entry: Entry, *, seconds: float, lsn: str | None) -> bool:
        """Keep an answer; False where its tags were told since `miss`, or Valkey is away."""
        if self.away:
            return False
        try:
            kept = await self._cache.fill(miss, entries.encode(entry), seconds=seconds, lsn=lsn)
            self._metrics.fills.labels("kept" if kept else "refused").inc()
            return kept
        except AWAY as error:
            self._failed(error)
            self._metrics.fills.labels("away").inc()
            return False

    async def release(self, miss: Miss) -> None:
        """Let others fetch, since this reader will not fill."""
        if self.away:
            return
        try:
            await self._cache.release(miss)
        except AWAY as error:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._quiet_until = self._clock.monotonic() + QUIET_SECONDS
        self._metrics.away.labels("valkey").inc()
        log.warning("valkey is away", extra={"action": "valkey_away", "why": type(error).__name__})


def _again(key: str, tags: Sequence[str], hit: Hit) -> Miss:
    """What a fill needs that replaces a kept answer by a younger one: the nonces it was found under."""
    return Miss(key=key, tags=tuple(tags), nonces=hit.nonces, floor=None, known=False, token=None)
