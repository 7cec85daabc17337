"""The schedule runs each object's delta once a night, puts off what is refused, and costs nothing in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from schemas import mapping
from services.ingestor.jobs import backfill
from services.ingestor.jobs.means import Means
from services.ingestor.jobs.metrics import JobMetrics
from services.ingestor.jobs.timetable import ScheduleSettings
from services.ingestor.jobs.turns import Turns
from services.ingestor.schedule import Schedule
from services.kernel.clock import SYSTEM, SetClock
from services.salesforce import door
from tests.integration.ingestor.harness import Log, unwatched
from tests.support import salesforce_sim
from tests.support.salesforce_sim import Simulator

PRODUCT = mapping.load().objects["Product2"]
SETTINGS = ScheduleSettings(schedule_at="01:30", schedule_apart_minutes=0, schedule_full_days=7)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(SYSTEM.now().replace(hour=12))


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def read(means: Means, clock: SetClock) -> Means:
    """Means on a clock of the test's own, after a backfill at noon."""
    means = replace(means, clock=clock)
    assert (await backfill.run(means, PRODUCT, unwatched)).state == "COMPLETE"
    return means


@pytest.fixture
def counts(registry: CollectorRegistry) -> JobMetrics:
    return JobMetrics(registry)


def schedule(means: Means, counts: JobMetrics) -> Schedule:
    return Schedule(means, {"Product2": PRODUCT}, SETTINGS, Turns(counts), counts)


def calls(sim: Simulator) -> int:
    return sum(sim.do("GET", "/state")["rest_calls"].values())


def runs(registry: CollectorRegistry, kind: str, outcome: str) -> float:
    labels = {"object": "Product2", "kind": kind, "outcome": outcome}
    return registry.get_sample_value("ingest_job_runs_total", labels) or 0.0


async def test_delta_runs_once_a_night_and_an_hour_without_a_slot_costs_no_call(
    log: Log, read: Means, clock: SetClock, counts: JobMetrics, registry: CollectorRegistry, sim: Simulator
) -> None:
    started = clock.now()
    before = calls(sim)
    by_day = await schedule(read, counts).look(started)
    quiet = calls(sim) - before
    clock.advance(14 * 3_600)

    await schedule(read, counts).look(started)
    after = calls(sim)
    again = await schedule(read, counts).look(started)

    assert (quiet, calls(sim) - after) == (0, 0)
    assert runs(registry, "delta", "complete") == 1
    assert 0 < by_day <= 900
    assert 0 < again <= 900


@pytest.fixture
async def poor(means: Means, sim: Simulator, valkey_url: str) -> AsyncIterator[Means]:
    """Means that may make no call of a delta."""
    cache: Redis = Redis.from_url(valkey_url)
    settings = salesforce_sim.door_settings(sim, salesforce_floor_delta="0.999999")
    async with door.opened(settings, cache, CollectorRegistry()) as opened:
        yield replace(means, rest=opened.rest, bulk=opened.bulk)
    await cache.aclose()


async def test_refused_by_the_budget_it_is_put_off_and_done_later_by_another_owner(
    log: Log, read: Means, poor: Means, clock: SetClock, counts: JobMetrics, registry: CollectorRegistry, sim: Simulator
) -> None:
    started = clock.now()
    clock.advance(14 * 3_600)
    first = schedule(replace(poor, clock=clock), counts)
    pause = await first.look(started)
    before = calls(sim)
    await first.look(started)
    put_off = calls(sim) - before

    await schedule(read, counts).look(started)

    assert (runs(registry, "delta", "budget"), runs(registry, "delta", "complete")) == (1, 1)
    assert (put_off, pause > 60) == (0, True)
    assert {mark.basis for mark in await log.watermarks("Product2") if mark.phase == "end"} == {"full", "delta"}


@pytest.mark.long
async def test_full_read_comes_after_its_days(
    log: Log, read: Means, clock: SetClock, counts: JobMetrics, registry: CollectorRegistry
) -> None:
    clock.advance(timedelta(days=7).total_seconds())

    await schedule(replace(read, job_seconds=1.0), counts).look(clock.now())

    assert runs(registry, "full", "postgres") == 1, "nobody projects here, so it ends PARTIAL"
    assert runs(registry, "delta", "complete") == 0
