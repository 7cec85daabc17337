"""What the log could not tell is read again, once, late enough to prove it, and through the log."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from sandbox.stack import postgres
from schemas import ids, versions
from schemas.events import RecordChange, Watermark
from services.ingestor.repair import due
from services.kernel.clock import SYSTEM
from tests.integration.ingestor import shared
from tests.integration.ingestor.shared import Addresses, Shared
from tests.integration.projector import process
from tests.integration.projector.process import Stage, Writer
from tests.support import stack
from tests.support.eventually import eventually

QUICK = {
    "UMBRA_READ_MARGIN_MS": "5000",
    "UMBRA_REPAIR_LOOK_SECONDS": "0.2",
    "UMBRA_REPAIR_FIRST_SECONDS": "3600",
    "UMBRA_SCHEDULE_ENABLED": "false",
}
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class World:
    """A projector and an ingestor that run, and the log that they share with a test."""

    stage: Stage
    writer: Writer
    shared: Shared

    async def due(self) -> list[tuple[str, str]]:
        rows = await self.stage.connection.fetch("SELECT record_id, reason FROM repair_due WHERE reason <> 'hole'")
        return [(row[0], row[1]) for row in rows]

    async def open_holes(self) -> set[str]:
        rows = await self.stage.connection.fetch("SELECT record_id FROM repair_due WHERE reason = 'hole'")
        return {row[0] for row in rows}

    async def projected(self, record_id: str) -> None:
        """The projector has seen the record."""
        await process.eventually_row(
            self.stage, "SELECT count(*) FROM sf_record WHERE record_id = $1", 1, record_id, within=20
        )

    async def settled(self, within: float = 40.0) -> None:
        async def nothing() -> bool:
            left = await self.due()
            assert left == []
            return True

        await eventually(nothing, within=within)

    def calls(self) -> int:
        """Reads by id that the org has counted."""
        counted: dict[str, int] = self.shared.state("rest_calls")
        return sum(number for name, number in counted.items() if "sobjects" in name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(addresses: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    tmp = tmp_path_factory.mktemp("repair")
    reader = stack.as_role(addresses.dsn, postgres.READER)
    async with (
        shared.world(addresses, tmp, **QUICK, UMBRA_POSTGRES_DSN=reader) as made,
        process.staged(addresses.kafka, addresses.dsn, addresses.valkey, tmp) as stage,
        process.writer(addresses.kafka) as writer,
    ):
        await stage.start()
        yield World(stage, writer, made)


def dirty(name: str, record_id: str, ago_ms: int = 60_000) -> RecordChange:
    """A mark, as the stream leaves one for a gap."""
    at = versions.millis(SYSTEM.now()) - ago_ms
    return RecordChange(
        kind="dirty",
        object=name,
        record_id=record_id,
        version=versions.event_version(at, 1, 1),
        origin="cdc",
        committed_at=versions.moment(at),
    )


def seeded(world: World, name: str, index: int) -> dict[str, Any]:
    """A record that nobody else here looks at."""
    record: dict[str, Any] = world.shared.sim.do("GET", f"/records/{name}")["records"][index]
    return record


async def repaired(world: World, *marks: RecordChange) -> int:
    """Write them, wait until nothing is due; returns the calls that it took."""
    before = world.calls()
    await world.writer.write(*marks)
    for mark in marks:
        await world.projected(mark.record_id)
    await world.settled()
    return world.calls() - before


async def reads(world: World, name: str, record_id: str) -> list[RecordChange]:
    return [c for c in await world.shared.log.changes(name) if c.record_id == record_id and c.origin == "repair"]


async def test_nothing_due_costs_no_call(world: World) -> None:
    before = world.shared.state("daily_api_calls")["used"]

    await asyncio.sleep(1.5)

    assert world.shared.state("daily_api_calls")["used"] == before
    assert await world.shared.metric("ingest_runs_jobs") == 1


async def test_dirty_record_is_read_once_late_enough_to_prove_it(world: World) -> None:
    product = seeded(world, "Product2", 0)
    mark = dirty("Product2", product["Id"], ago_ms=0)

    calls = await repaired(world, mark)

    (read,) = await reads(world, "Product2", product["Id"])
    assert (read.kind, read.covers, read.fields["Name"]) == ("snapshot", "all", product["Name"])
    assert read.version > mark.version
    assert calls == 1
    assert await world.shared.metric("ingest_repairs_total", reason="dirty", outcome="snapshot") == 1


async def test_records_that_are_due_together_are_read_in_one_call(world: World) -> None:
    products = [seeded(world, "Product2", index)["Id"] for index in range(1, 20)]

    assert await repaired(world, *(dirty("Product2", record_id) for record_id in products)) == 1


async def test_record_that_salesforce_does_not_show_is_absent_and_read_no_more(world: World) -> None:
    nobody = ids.parse("01t000000000ZZZ")

    calls = await repaired(world, dirty("Product2", nobody))
    await asyncio.sleep(1)

    (read,) = await reads(world, "Product2", nobody)
    assert (read.kind, read.fields) == ("absent", {"IsDeleted": True})
    assert calls == 1
    assert await world.shared.metric("ingest_repairs_total", outcome="absent") == 1


async def test_record_that_stays_incomplete_is_read_by_id(world: World) -> None:
    product = seeded(world, "Product2", 20)
    at = versions.millis(SYSTEM.now())
    await world.writer.write(
        RecordChange(
            kind="update",
            object="Product2",
            record_id=product["Id"],
            version=versions.event_version(at, 1, 1),
            origin="cdc",
            fields={"IsDeleted": False, "IsActive": True},
        )
    )
    await world.projected(product["Id"])
    waits = "UPDATE sf_hidden SET since = now() - interval '3 minutes' WHERE record_id = $1 RETURNING reason"
    assert await world.stage.value(waits, product["Id"]) == "incomplete"

    shown = "SELECT name FROM sf_product_shadow WHERE product_id = $1"
    await process.eventually_row(world.stage, shown, product["Name"], product["Id"])

    assert len(await reads(world, "Product2", product["Id"])) == 1
    assert await world.shared.metric("ingest_repairs_total", reason="incomplete", outcome="snapshot") == 1


async def test_order_whose_status_event_was_lost_is_observed(world: World) -> None:
    orders = world.shared.sim.do("GET", "/records/Order")["records"]
    order = next(o for o in orders if o["Status"] not in ("Draft", None))
    snapshot = RecordChange(
        kind="snapshot",
        object="Order",
        record_id=order["Id"],
        version=versions.read_version(versions.millis(SYSTEM.now()) - 600_000),
        origin="backfill",
        fields={"IsDeleted": False, "Status": "Draft", "AccountId": order["AccountId"]},
    )

    await repaired(world, snapshot, dirty("Order", order["Id"]))

    async def told() -> bool:
        return order["Id"] in {status.order_id for status in await world.shared.log.statuses()}

    await eventually(told)
    (status,) = [status for status in await world.shared.log.statuses() if status.order_id == order["Id"]]
    assert (status.kind, status.status) == ("observed", order["Status"])


@pytest.mark.parametrize(
    ("hole_id", "basis"),
    [
        ("overflow:0a", "full"),
        ("replay:0b", "delta"),
        pytest.param("undecodable:0c", "delta", marks=pytest.mark.long),
    ],
)
async def test_hole_is_closed_by_the_job_that_can(world: World, hole_id: str, basis: str) -> None:
    until = SYSTEM.now() - timedelta(seconds=10)
    hole = Watermark(
        object="Account",
        basis="hole",
        origin="cdc",
        hole_id=hole_id,
        hole_from=until - timedelta(minutes=1),
        hole_to=until,
        reason="a test",
    )

    await world.writer.write(hole)

    async def closed() -> bool:
        marks = [mark for mark in await world.shared.log.watermarks("Account") if hole_id in mark.closes]
        assert {mark.basis for mark in marks} == {basis}
        return hole_id not in await world.open_holes()

    await eventually(closed, within=40)
    reason = hole_id.partition(":")[0]
    await world.shared.reaches("ingest_repairs_total", 1, reason=reason, outcome="closed")


@pytest.mark.long
async def test_flood_of_marks_is_one_full_read_and_then_what_that_left(world: World) -> None:
    """None of these exists: the full read shows none of them, so each is asked for by id once."""
    nobody = [ids.parse(f"01s{number:012d}") for number in range(due.MOST_RECORDS + 100)]
    jobs, calls = world.shared.state("bulk_jobs"), world.calls()

    mark = dirty("PricebookEntry", nobody[0], ago_ms=-8_000)  # all can be read from the same second on
    for start in range(0, len(nobody), 2_000):
        await world.writer.write(*(replace(mark, record_id=each) for each in nobody[start : start + 2_000]))
    await world.projected(nobody[-1])
    await world.settled(within=90)

    assert world.shared.state("bulk_jobs") == jobs + 1
    assert world.calls() - calls == math.ceil(len(nobody) / 200)
