"""Tells the caches what changed, after the commit, and only then lets the outbox rows go.

The rows are the only memory of an old row's tags. They are read whole and deleted by id, never by "greater
than the last one seen": ids do not become visible in their order.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg

from services.kernel import postgres, valkey
from services.kernel.retry import Backoff
from services.kernel.tagcache import TagCache, lsn_text
from services.projector.engine.ledger import Ledger
from services.projector.link import statements
from services.projector.log import Place
from services.projector.metrics import Metrics

log = logging.getLogger(__name__)

_SQL = statements("engine.sql")
_ROWS = 500
_SWEEP_SECONDS = 5.0
"""A row of a partition that changed hands in mid-commit is found within this time."""
_AWAY = (*valkey.AWAY, asyncpg.PostgresError, asyncpg.InterfaceError)


class Teller:
    """Owned by one task. `wake` after each commit; what cannot be told now stays in the outbox."""

    def __init__(self, pool: Any, cache: TagCache, ledger: Ledger, metrics: Metrics) -> None:
        self._pool = pool
        self._cache = cache
        self._ledger = ledger
        self._metrics = metrics
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        backoff = Backoff(first=0.05, longest=5.0)
        while True:
            try:
                await self.tell()
            except _AWAY as error:
                if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError) and not postgres.is_transient(
                    error
                ):
                    raise
                self._away(error, backoff)
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            await self._rest()

    def _away(self, error: Exception, backoff: Backoff) -> None:
        self._metrics.failures.labels("tell").inc()
        if backoff.tries == 0:
            log.warning(
                "caches cannot be told, the outbox collects", extra={"action": "tell", "error": type(error).__name__}
            )

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_SWEEP_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return

    async def tell(self) -> None:
        """Tell all that waits in the outbox for the assigned partitions, oldest first."""
        self._wake.clear()
        while places := self._ledger.places:
            # Noted before the rows are read: whatever was noted by now is among them.
            noted = self._ledger.untold()
            rows = await self._pool.fetch(
                _SQL["outbox_read"], [each.topic for each in places], [each.partition for each in places], _ROWS
            )
            if rows:
                await self._tell(rows)
            if len(rows) < _ROWS:
                for place, next_offset in noted.items():
                    self._ledger.told(place, next_offset)
                return

    async def _tell(self, rows: list[Any]) -> None:
        tags = {tag for row in rows for tag in row["tags"]}
        await self._cache.invalidate(tags, max((row["lsn"] for row in rows), key=lsn_text))
        await self._pool.execute(_SQL["outbox_delete"], [row["id"] for row in rows])
        for row in rows:
            self._ledger.told(Place(row["topic"], row["partition"]), row["next_offset"])
        self._metrics.told.inc(len(tags))
