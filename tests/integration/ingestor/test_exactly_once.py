"""Whatever is killed, stopped or lost, each delivery is in the log once, and the log equals the org."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from sandbox.stack import kafka as kafka_stack
from schemas import join, mapping, topics
from services.salesforce import canonical
from tests.integration.ingestor import harness
from tests.integration.ingestor.harness import Ingestor, Log, duplicates
from tests.support import stack
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

PRODUCT = mapping.load().objects["Product2"]
TOPIC = "/data/Product2ChangeEvent"


async def edit(sim: Simulator, changes: int, *, started: asyncio.Event | None = None) -> None:
    """Products made, changed and deleted, as fast as the org takes them."""
    async with aiohttp.ClientSession(sim.control) as session:
        ids: list[str] = []
        for index in range(changes):
            if index == 50 and started is not None:
                started.set()
            await _one(session, ids, index)


async def _one(session: aiohttp.ClientSession, ids: list[str], index: int) -> None:
    if index % 4 == 0 or not ids:
        body = {"Name": f"P{index}", "StockKeepingUnit": f"K{index}", "IsActive": True}
        async with session.post("/records/Product2", json=body) as answer:
            ids.append((await answer.json())["Id"])
    elif index % 31 == 0:
        async with session.delete(f"/records/Product2/{ids.pop(0)}") as answer:
            answer.raise_for_status()
    else:
        changed = {"Name": f"P{index}", "Plan_Tier__c": None if index % 3 else "Gold"}
        async with session.patch(f"/records/Product2/{ids[index % len(ids)]}", json=changed) as answer:
            answer.raise_for_status()


async def published(sim: Simulator) -> int:
    """Change events that the org has made of products."""
    state = await asyncio.to_thread(sim.do, "GET", "/state")
    return int(state["published_events"][TOPIC])


async def arrived(log: Log, sim: Simulator, within: float = 60.0) -> None:
    """Everything that the org has published is in the log."""

    async def whole() -> bool:
        expected, found = await published(sim), len(await log.changes("Product2"))
        assert found >= expected, f"{found} of {expected}"
        return True

    await eventually(whole, within=within)


async def assert_once_and_equal_to_the_org(log: Log, sim: Simulator) -> None:
    changes = await log.changes("Product2")
    assert duplicates(changes) == []
    assert len(changes) == await published(sim)
    states: dict[str, join.State] = {}
    for change in changes:
        states[change.record_id] = join.join(states.get(change.record_id, join.EMPTY), join.state_of(change))
    answer = await asyncio.to_thread(sim.do, "GET", "/records/Product2")
    records = {record["Id"]: record for record in answer["records"]}
    for record_id, state in states.items():
        expected = canonical.from_rest(PRODUCT, records[record_id])
        known = {name: state.payload.get(name) for name in ("IsDeleted", *PRODUCT.fields)}
        assert known == {name: expected[name] for name in known}


async def test_killed_in_the_middle_of_2000_changes_it_goes_on_without_loss_or_repetition(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    started, found = asyncio.Event(), list[int]()
    async with asyncio.TaskGroup() as group:
        group.create_task(edit(sim, 2_000, started=started))
        await started.wait()
        for _ in range(4):
            async with harness.ingesting(environ, tmp_path / "log") as ingestor:
                await eventually(partial(_wrote, ingestor, await published(sim)), within=30)
                await ingestor.kill()
            found.append(len(await log.changes("Product2")))
    assert found[0] < 2_000, "killed too late to show anything"
    async with harness.ingesting(environ, tmp_path / "log") as ingestor:
        await arrived(log, sim)
        await asyncio.sleep(0.5)

    await assert_once_and_equal_to_the_org(log, sim)


async def test_stopped_owner_hands_over_at_once_and_killed_one_within_seconds(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as open_:
        first = await open_.enter_async_context(harness.ingesting(environ, tmp_path / "first"))
        await first.ready()
        standby = await open_.enter_async_context(harness.ingesting(environ, tmp_path / "standby"))
        await standby.ready()
        await edit(sim, 60)
        await arrived(log, sim)
        assert await first.stop() == 0
        await edit(sim, 60)
        await arrived(log, sim, within=15)
        third = await open_.enter_async_context(harness.ingesting(environ, tmp_path / "third"))
        await third.ready()
        await standby.kill()
        await edit(sim, 60)
        await arrived(log, sim, within=30)

    await assert_once_and_equal_to_the_org(log, sim)


async def test_owner_that_was_frozen_is_fenced_when_it_wakes(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as open_:
        frozen = await open_.enter_async_context(harness.ingesting(environ, tmp_path / "frozen"))
        await frozen.ready()
        started = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(edit(sim, 1_200, started=started))
            await started.wait()
            os.kill(frozen.process.pid, signal.SIGSTOP)
            awake = await open_.enter_async_context(harness.ingesting(environ, tmp_path / "awake"))
            await eventually(lambda: _owns(awake), within=40)
            os.kill(frozen.process.pid, signal.SIGCONT)
        await arrived(log, sim)
        await eventually(lambda: _shared(frozen, awake), within=40)
        await edit(sim, 40)
        await arrived(log, sim)

    await assert_once_and_equal_to_the_org(log, sim)


async def _wrote(ingestor: Ingestor, known: int) -> bool:
    """It has committed something; with nothing left to write, it is ready."""
    with contextlib.suppress(aiohttp.ClientError):
        return await ingestor.metric("ingest_changes_total") > 0 or (known >= 2_000 and await ingestor.is_ready())
    return False


async def _owns(ingestor: Ingestor) -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        return await ingestor.metric("ingest_owned", topic=TOPIC) == 1
    return False


async def _shared(*ingestors: Ingestor) -> bool:
    """Every topic has one owner, and all of them are subscribed."""
    owned = sum([await ingestor.metric("ingest_owned") for ingestor in ingestors])
    return owned == len(topics.SALESFORCE_TOPICS) and all([await ingestor.is_ready() for ingestor in ingestors])


class TestBrokerThatComesAndGoes:
    @pytest.fixture
    async def broker(self) -> AsyncIterator[kafka_stack.Broker]:
        with stack.scratch("broker") as state:
            async with kafka_stack.running(state) as broker:
                yield broker

    @pytest.mark.parametrize("how", ["killed", "stopped"])
    async def test_nothing_is_lost_or_doubled(
        self, broker: kafka_stack.Broker, postgres_dsn: str, sim: Simulator, valkey_url: str, tmp_path: Path, how: str
    ) -> None:
        await stack.fresh_topics(broker.bootstrap, postgres_dsn)
        log = Log(broker.bootstrap)
        environ = harness.environment(sim, broker.bootstrap, valkey_url)
        async with harness.ingesting(environ, tmp_path / "log") as ingestor:
            await ingestor.ready()
            started = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(edit(sim, 1_000, started=started))
                await started.wait()
                await (broker.kill() if how == "killed" else broker.stop())
                await asyncio.sleep(1)
                await broker.start()
            await arrived(log, sim, within=90)
            assert ingestor.process.returncode is None

        await assert_once_and_equal_to_the_org(log, sim)
