"""Two ingestors, a backfill, the broker and the org are killed again and again: each change is in the log once.

The measure is the org's own event log, read by another client. UMBRA_TEST_SEED draws another course.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.stack import kafka as kafka_stack
from schemas.events import RecordChange
from tests.chaos.fleet import Editors, Org, Plan, Told, deaths, member, own_log
from tests.integration.ingestor import commands, harness
from tests.integration.ingestor.harness import Log
from tests.support import stack
from tests.support.eventually import eventually

OBJECTS = ("Product2", "PricebookEntry", "Account")


@dataclass(frozen=True, slots=True)
class Course:
    """How hard it is. changes: at least; a_second: pace of the editors; kills: of ingestors; backfills: killed ones"""

    changes: int
    a_second: float
    kills: int
    backfills: int
    brokers: int
    orgs: int
    products: int
    seed: int = field(default_factory=lambda: int(os.environ.get("UMBRA_TEST_SEED", "11")))


@dataclass(slots=True)
class Chaos:
    course: Course
    org: Org
    broker: kafka_stack.Broker
    environ: dict[str, str]
    tmp: Path
    plan: Plan
    backfills: int = 0
    restarts: Counter[str] = field(default_factory=Counter)


@asynccontextmanager
async def prepared(course: Course, dsn: str, valkey_url: str, tmp: Path) -> AsyncIterator[Chaos]:
    options = ("--products", str(course.products), "--seed", "5", "--daily-events", "10000000", "--keepalive", "2")
    with stack.scratch("chaos") as state:
        async with kafka_stack.running(state) as broker:
            await stack.fresh_topics(broker.bootstrap, dsn)
            org = Org(state / "org", *options)
            try:
                environ = harness.environment(org.sim, broker.bootstrap, valkey_url)
                plan = Plan(deaths(random.Random(course.seed), course.kills))
                yield Chaos(course, org, broker, environ, tmp, plan)
            finally:
                org.close()


async def run(chaos: Chaos) -> None:
    """Until all is edited, everybody has died as planned, and everything has arrived."""
    editors = Editors(chaos.org, random.Random(chaos.course.seed + 1))
    fleet = [asyncio.create_task(member(chaos.environ, chaos.tmp / f"{n}.log", chaos.plan)) for n in (1, 2)]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(editors.work(int(chaos.course.changes * 1.01), chaos.course.a_second, chaos.plan))
            group.create_task(_broker_dies(chaos, editors))
            group.create_task(_org_dies(chaos, editors))
            group.create_task(_backfills(chaos))
            group.create_task(_watched(fleet, chaos.plan))
        await _arrived(chaos, fleet)
    finally:
        for task in fleet:
            task.cancel()
        await asyncio.wait(fleet)


async def _watched(fleet: list[asyncio.Task[None]], plan: Plan) -> None:
    """A place of the fleet that fails ends everything."""
    while not plan.done:
        await asyncio.sleep(0.2)
        for task in fleet:
            if task.done():
                task.result()


async def _broker_dies(chaos: Chaos, editors: Editors) -> None:
    for turn in range(chaos.course.brokers):
        await _edited(chaos, editors, (turn + 0.7) / chaos.course.brokers)
        await (chaos.broker.kill() if turn % 2 == 0 else chaos.broker.stop())
        await asyncio.sleep(1)
        await chaos.broker.start()
        chaos.restarts["broker"] += 1


async def _org_dies(chaos: Chaos, editors: Editors) -> None:
    for turn in range(chaos.course.orgs):
        await _edited(chaos, editors, (turn + 0.4) / chaos.course.orgs)
        await chaos.org.killed()
        chaos.restarts["org"] += 1


async def _edited(chaos: Chaos, editors: Editors, share: float) -> None:
    await eventually(lambda: editors.made >= share * chaos.course.changes, within=1_200)


async def _backfills(chaos: Chaos) -> None:
    """Killed at drawn moments and given again, then left alone until it is complete."""
    rng = random.Random(chaos.course.seed + 2)
    while chaos.backfills < chaos.course.backfills:
        process = await commands.start(chaos.environ, "backfill", "--object", "Product2", "--execute")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.communicate(), rng.uniform(1.5, 5.0))
        if process.returncode is None:
            process.kill()
            await process.communicate()
            chaos.backfills += 1

    async def complete() -> bool:
        code, said = await commands.run(chaos.environ, "backfill", "--object", "Product2", "--execute")
        assert code == 0, said
        return True

    await eventually(complete, within=90)


async def _arrived(chaos: Chaos, fleet: list[asyncio.Task[None]]) -> None:
    log, expected = Log(chaos.broker.bootstrap), await chaos.org.published()

    async def whole() -> bool:
        for task in fleet:
            assert not task.done(), task.result()
        found = sum((await told(log)).values())
        assert found >= expected, f"{found} of {expected}"
        await asyncio.sleep(1)
        return True

    await eventually(whole, within=120)


async def of_stream(log: Log, name: str) -> list[RecordChange]:
    return [change for change in await log.changes(name) if change.origin == "cdc"]


async def told(log: Log) -> Counter[Told]:
    found: Counter[Told] = Counter()
    for name in OBJECTS:
        for change in await of_stream(log, name):
            assert change.kind != "dirty"
            found[change.transaction_key or "", change.sequence or 0, name, change.record_id] += 1
    return found


async def assert_once(chaos: Chaos) -> int:
    """The log is the org's own, change by change, and in its order record by record; returns how many."""
    log = Log(chaos.broker.bootstrap)
    found, expected = await told(log), await own_log(chaos.org.sim)
    assert [key for key, times in found.items() if times > 1] == []
    assert found == expected
    for name in OBJECTS:
        newest: dict[str, str] = {}
        for change in await of_stream(log, name):
            assert change.version > newest.get(change.record_id, "")
            newest[change.record_id] = change.version
    rows = Counter((c.job_id, c.record_id) for c in await log.changes("Product2") if c.origin == "backfill")
    assert [key for key, times in rows.items() if times > 1] == []
    return sum(found.values())


async def survived(course: Course, dsn: str, valkey_url: str, tmp: Path) -> None:
    began = time.monotonic()
    async with prepared(course, dsn, valkey_url, tmp) as chaos:
        await run(chaos)
        count = await assert_once(chaos)
    kills = sum(chaos.plan.died.values())
    print(  # noqa: T201 - what the run was, for whoever records it
        f"seed {course.seed}: {count} changes once; {kills} ingestors killed {dict(chaos.plan.died)}, "
        f"{chaos.backfills} backfills killed, {dict(chaos.restarts)} restarted; {time.monotonic() - began:.0f} s"
    )
    assert count >= course.changes
    assert (kills, chaos.backfills) == (course.kills, course.backfills)
    assert chaos.restarts == Counter(broker=course.brokers, org=course.orgs)


async def test_each_of_3000_changes_is_in_the_log_once(postgres_dsn: str, valkey_url: str, tmp_path: Path) -> None:
    course = Course(changes=3_000, a_second=400, kills=5, backfills=1, brokers=1, orgs=1, products=300)
    await survived(course, postgres_dsn, valkey_url, tmp_path)


@pytest.mark.long
@pytest.mark.timeout(1_500)
async def test_each_of_50000_changes_is_in_the_log_once(postgres_dsn: str, valkey_url: str, tmp_path: Path) -> None:
    course = Course(changes=50_000, a_second=220, kills=32, backfills=6, brokers=3, orgs=3, products=8_000)
    await survived(course, postgres_dsn, valkey_url, tmp_path)
