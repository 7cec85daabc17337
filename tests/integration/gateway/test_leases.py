"""A lease keeps others waiting for a fill: whoever will not fill gives it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from schemas import tags, versions
from services.gateway.entry import Entry, entry
from services.gateway.freshness import Demand, Receipt, Rules
from services.gateway.ladder import Ladder, Limits
from services.gateway.metrics import Metrics
from services.gateway.near import Near
from services.gateway.postgres import Database
from services.gateway.problems import Problem
from services.gateway.resources import Reading, Resource
from services.gateway.shared import Shared
from services.gateway.throttle import Throttle
from services.kernel.clock import SYSTEM
from services.kernel.tagcache import Hit, Miss, TagCache
from services.salesforce.calls import CallClass
from services.salesforce.errors import Unavailable

PATIENCE_SECONDS = 2.0
"""Less than a lease lasts."""
AGE_MS = 1_000
"""What the shadow holds is older than the millisecond in which it is asked for: no demand for 0 ms can be met."""


class Late(TagCache):
    """The answer to the first look comes late, as on a slow connection."""

    looks = 0

    async def read(self, key: str, tags: Sequence[str]) -> Hit | Miss:
        self.looks += 1
        first, found = self.looks == 1, await super().read(key, tags)
        if first:
            await asyncio.sleep(0.2)
        return found


class Gone:
    """A pool whose server is away."""

    async def fetch(self, *_: object) -> list[object]:
        raise ConnectionRefusedError


async def test_a_reader_who_shares_a_fetch_does_not_keep_it_waiting_for_his_lease(valkey_url: str) -> None:
    async with _ladder(valkey_url, Late) as ladder:
        async with asyncio.timeout(PATIENCE_SECONDS):
            answers = await asyncio.gather(ladder.get(_resource()), ladder.get(_resource()))

    assert [answer.entry.body for answer in answers] == [b"{}", b"{}"]


async def test_a_wait_for_a_write_that_fails_leaves_no_lease(valkey_url: str) -> None:
    async with _ladder(valkey_url, TagCache) as ladder, Redis.from_url(valkey_url) as redis:
        with pytest.raises(Problem):
            await ladder.get(_resource(), Demand(after=Receipt("Product2", "01t000000000001AAA", 0)))
        left = [key async for key in redis.scan_iter("l:*")]

    assert left == []


async def test_a_refresh_that_fails_leaves_no_lease(valkey_url: str) -> None:
    async with _ladder(valkey_url, TagCache) as ladder, Redis.from_url(valkey_url) as redis:
        with pytest.raises(Unavailable):
            await ladder.refresh(_resource())
        left = [key async for key in redis.scan_iter("l:*")]

    assert left == []


async def test_a_demand_that_is_refused_leaves_no_lease(valkey_url: str) -> None:
    async with _ladder(valkey_url, TagCache) as ladder, Redis.from_url(valkey_url) as redis:
        with pytest.raises(Problem):
            await ladder.get(_resource(), Demand(max_staleness_ms=0))
        left = [key async for key in redis.scan_iter("l:*")]

    assert left == []


def _resource() -> Resource:
    now = versions.millis(SYSTEM.now())

    async def from_shadow() -> Reading:
        return Reading(entry(b"{}", as_of_ms=now - AGE_MS, read_ms=now), "0/1")

    async def from_salesforce(call_class: CallClass, seconds: float) -> Entry:
        raise Unavailable("salesforce is away")

    return Resource(
        key="leases:one",
        tags=tags.with_families([tags.sku("LEASES")]),
        seconds=60.0,
        from_shadow=from_shadow,
        from_salesforce=from_salesforce,
    )


@asynccontextmanager
async def _ladder(valkey_url: str, cache: Callable[[Redis], TagCache]) -> AsyncIterator[Ladder]:
    async with Redis.from_url(valkey_url) as redis:
        await redis.flushall()
        metrics = Metrics(CollectorRegistry())
        ladder = Ladder(
            near=Near(SYSTEM, 1.0, 1_000_000),
            shared=Shared(cache(redis), SYSTEM, metrics),
            database=Database(Gone(), SYSTEM, metrics),
            throttle=Throttle(redis, SYSTEM, 6),
            rules=Rules(cache_ms=30_000, fresh_ms=900_000),
            limits=Limits(live_seconds=1.0, wait_seconds=0.1, shadow_reads=True),
            clock=SYSTEM,
            metrics=metrics,
        )
        try:
            yield ladder
        finally:
            await ladder.close()
