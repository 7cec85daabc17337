"""What Salesforce does wrong is survived, and where something may be missing the log says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas import topics, versions
from schemas.events import Checkpoint, OrderStatus
from services.ingestor import outgoing, transactions
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings
from tests.integration.ingestor import harness
from tests.integration.ingestor.harness import Ingestor, Log, duplicates
from tests.support import salesforce_sim, stack
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

PRODUCTS, STATUSES = "/data/Product2ChangeEvent", "/event/Order_Status__e"


def product(sim: Simulator, name: str) -> str:
    made: dict[str, Any] = sim.do("POST", "/records/Product2", {"Name": name, "StockKeepingUnit": name})
    return str(made["Id"])


async def in_log(log: Log, *record_ids: str, within: float = 15.0) -> None:
    async def found() -> bool:
        return set(record_ids) <= {change.record_id for change in await log.changes("Product2")}

    await eventually(found, within=within)


async def store(log: Log, checkpoint: Checkpoint) -> None:
    """A position as an ingestor would have left it."""
    settings = KafkaSettings(kafka_bootstrap=log.bootstrap)
    place = topics.checkpoint_partition(checkpoint.name)
    async with transactions.opened(settings, "test") as held:
        await held.commit([outgoing.checkpoint(checkpoint, place, SYSTEM.now())])


async def test_first_start_takes_everything_that_is_kept_and_opens_a_hole(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    before = product(sim, "Before")

    async with harness.ingesting(environ, tmp_path / "log") as ingestor:
        await ingestor.ready()
        await in_log(log, before)

    holes = [mark for mark in await log.watermarks("Product2") if mark.basis == "hole"]
    assert [mark.hole_id.rpartition(":")[0] for mark in holes if mark.hole_id] == [f"first:{PRODUCTS}"] * 4
    assert all(mark.hole_from is None and mark.hole_to is not None for mark in holes)


async def test_restart_opens_no_second_hole_and_repeats_nothing(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    for name in ("One", "Two"):
        made = product(sim, name)
        async with harness.ingesting(environ, tmp_path / "log") as ingestor:
            await ingestor.ready()
            await in_log(log, made)
            assert await ingestor.stop() == 0

    changes, marks = await log.of("Product2")
    assert duplicates(changes) == []
    assert len([mark for mark in marks if mark.basis == "hole"]) == 4


async def test_position_that_salesforce_forgot_is_healed_with_a_hole(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    made = product(sim, "Kept")
    known = SYSTEM.now() - timedelta(hours=80)
    await store(log, Checkpoint(name=PRODUCTS, written_at=known, replay_id="00" * 7 + "01" + "0000", event_at=known))

    async with harness.ingesting(environ, tmp_path / "log") as ingestor:
        await ingestor.ready()
        await in_log(log, made)
        assert await ingestor.metric("ingest_heals_total", topic=PRODUCTS) == 1

    (hole, *_) = [mark for mark in await log.watermarks("Product2") if mark.basis == "hole"]
    healed = [checkpoint for checkpoint in await log.checkpoints(PRODUCTS) if checkpoint.heal]
    assert hole.hole_from is not None
    assert hole.hole_to is not None
    assert versions.millis(hole.hole_from) == versions.millis(known) - versions.LATE_VISIBILITY_MS
    assert hole.hole_to > known + timedelta(hours=79)
    assert [(checkpoint.replay_id, checkpoint.reason) for checkpoint in healed] == [
        (None, "subscription.fetch.replayid.corrupted")
    ]


async def test_undecodable_event_is_set_aside_and_the_stream_goes_on(
    log: Log, sim: Simulator, ingestor: Ingestor
) -> None:
    sim.call("POST", "/sobjects/Order_Status__e", json={"Order_Id__c": "no order", "Status__c": "Failed"})
    order_id = sim.do("GET", "/records/Order")["records"][0]["Id"]
    sim.call("POST", "/sobjects/Order_Status__e", json={"Order_Id__c": order_id, "Status__c": "Failed"})

    await eventually(lambda: _reported(log, order_id))

    (letter,) = await log.dead_letters()
    position = (await log.checkpoints(STATUSES))[-1]
    assert (letter.stage, letter.topic, letter.partition) == ("decode", STATUSES, None)
    assert letter.schema_id
    assert position.replay_id is not None
    assert letter.replay_id is not None
    assert letter.replay_id < position.replay_id


async def _reported(log: Log, order_id: str) -> list[OrderStatus]:
    return [status for status in await log.statuses() if status.order_id == order_id]


async def test_status_is_reported_by_both_of_its_events_as_one_occurrence(
    log: Log, sim: Simulator, ingestor: Ingestor
) -> None:
    order = next(o for o in sim.do("GET", "/records/Order")["records"] if o["Status"] == "Draft")
    sim.do("POST", f"/orders/{order['Id']}/status", {"status": "Failed", "reason": "LINE_UNAVAILABLE"})

    async def both() -> list[OrderStatus]:
        found = await _reported(log, order["Id"])
        return found if len(found) == 2 else []

    plain, reasoned = sorted(await eventually(both), key=lambda status: status.reason or "")

    assert {(s.status, s.terminal, s.source, s.kind) for s in (plain, reasoned)} == {
        ("Failed", True, "salesforce", "reported")
    }
    assert (plain.reason, reasoned.reason) == (None, "LINE_UNAVAILABLE")
    assert plain.occurred_at == reasoned.occurred_at
    assert plain.version > reasoned.version
    assert reasoned.account_id == order["AccountId"]
    changes = [change for change in await log.changes("Order") if change.record_id == order["Id"]]
    assert changes[0].fields["Status"] == "Failed"


async def test_org_that_goes_away_and_comes_back_loses_nothing(log: Log, sim: Simulator, ingestor: Ingestor) -> None:
    before = product(sim, "Before")
    await in_log(log, before)

    sim.do("POST", "/switch", {"salesforce": "off"})
    await eventually(lambda: _unready(ingestor))
    during = product(sim, "During")
    sim.do("POST", "/switch", {"salesforce": "on"})

    await in_log(log, during, within=20)
    await ingestor.ready()
    assert duplicates(await log.changes("Product2")) == []


async def _unready(ingestor: Ingestor) -> bool:
    return not await ingestor.is_ready()


class TestQuietTopics:
    @pytest.fixture
    def sim(self) -> Iterator[Simulator]:
        with stack.scratch("org") as state, salesforce_sim.running(state / "org", "--keepalive", "0.5") as running:
            yield running

    async def test_keepalive_stores_its_position_and_how_far_it_covers(
        self, log: Log, sim: Simulator, ingestor: Ingestor
    ) -> None:
        began = SYSTEM.now()

        async def covered() -> bool:
            marks = [m for m in await log.watermarks("Product2") if m.basis == "stream" and m.covered_until]
            late = [m for m in marks if m.covered_until and m.covered_until > began - timedelta(seconds=2)]
            return len(late) >= topics.PRODUCT.partitions

        await eventually(covered)
        stored = (await log.checkpoints(PRODUCTS))[-1]
        assert stored.replay_id
        assert stored.event_at is not None
        assert await log.changes("Product2") == []

    async def test_watermarks_come_at_most_once_a_second(self, log: Log, sim: Simulator, ingestor: Ingestor) -> None:
        for index in range(100):
            sim.do("POST", "/records/Product2", {"Name": f"N{index}"})
        await eventually(lambda: _enough(log, 100))

        marks = [m for m in await log.watermarks("Product2") if m.basis == "stream"]
        times = [m.covered_until for m in marks[: len(marks) // topics.PRODUCT.partitions]]
        assert times == sorted(set(times), key=str)
        assert len(times) < 20


async def _enough(log: Log, count: int) -> bool:
    return len(await log.changes("Product2")) >= count


class TestSilentStream:
    @pytest.fixture
    def sim(self) -> Iterator[Simulator]:
        with stack.scratch("org") as state, salesforce_sim.running(state / "org", "--keepalive", "600") as running:
            yield running

    async def test_is_torn_down_and_opened_again(
        self, log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
    ) -> None:
        impatient = {"UMBRA_STREAM_SILENT_WARN_SECONDS": "0.5", "UMBRA_STREAM_SILENT_SECONDS": "1"}
        async with harness.ingesting({**environ, **impatient}, tmp_path / "log") as ingestor:
            await ingestor.ready()

            async def again() -> bool:
                return await ingestor.metric("ingest_disconnects_total", reason="Silent") >= 2

            await eventually(again, within=20)
            await in_log(log, product(sim, "Later"))


async def test_disabled_stream_is_ready_and_reads_nothing(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    product(sim, "Unseen")
    async with harness.ingesting({**environ, "UMBRA_STREAM_ENABLED": "false"}, tmp_path / "log") as ingestor:
        await ingestor.ready()
        assert await ingestor.stop() == 0

    assert await log.of("Product2") == ([], [])


@pytest.mark.parametrize("name", ["/data/ContactChangeEvent", "/event/Other__e"])
async def test_unknown_topic_is_named_at_start(environ: dict[str, str], tmp_path: Path, name: str) -> None:
    wanted = {**environ, "UMBRA_STREAM_TOPICS": f"{PRODUCTS},{name}"}
    async with harness.ingesting(wanted, tmp_path / "log") as ingestor, asyncio.timeout(10):
        code = await ingestor.process.wait()

    assert code == 2
    assert name in (tmp_path / "log").read_text()


async def test_missing_topics_are_named_at_start(environ: dict[str, str], tmp_path: Path, postgres_dsn: str) -> None:
    from sandbox.stack import kafka as kafka_stack

    with stack.scratch("bare") as state:
        async with contextlib.AsyncExitStack() as open_:
            bare = await open_.enter_async_context(kafka_stack.running(state))
            wanted = {**environ, "UMBRA_KAFKA_BOOTSTRAP": bare.bootstrap}
            ingestor = await open_.enter_async_context(harness.ingesting(wanted, tmp_path / "log"))
            async with asyncio.timeout(20):
                code = await ingestor.process.wait()

    assert code == 1
    assert "umbra migrate" in (tmp_path / "log").read_text()
