"""What the log could not tell is read again, once, late enough to prove it, and through the log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.stack import postgres
from schemas import ids, versions
from schemas.events import RecordChange, Watermark
from services.kernel.clock import SYSTEM
from tests.integration.ingestor import harness
from tests.integration.ingestor.harness import Ingestor, Log
from tests.integration.projector import process
from tests.integration.projector.process import Stage, Writer
from tests.support import stack
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

MARGIN_MS = 5_000
QUICK = {
    "UMBRA_READ_MARGIN_MS": str(MARGIN_MS),
    "UMBRA_REPAIR_LOOK_SECONDS": "0.3",
    "UMBRA_REPAIR_FIRST_SECONDS": "3600",
}


@dataclass(frozen=True, slots=True)
class World:
    """A projector that runs, and the log that it and the ingestor share."""

    stage: Stage
    log: Log
    writer: Writer
    sim: Simulator
    environ: dict[str, str]

    async def due(self) -> list[tuple[str, str]]:
        rows = await self.stage.connection.fetch("SELECT record_id, reason FROM repair_due WHERE reason <> 'hole'")
        return [(row[0], row[1]) for row in rows]

    async def open_holes(self) -> set[str]:
        rows = await self.stage.connection.fetch("SELECT record_id FROM repair_due WHERE reason = 'hole'")
        return {row[0] for row in rows}

    async def projected(self, record_id: str, reason: str) -> None:
        async def there() -> bool:
            return (record_id, reason) in await self.due()

        await eventually(there, within=20)

    async def settled(self, within: float = 40.0) -> None:
        async def nothing() -> bool:
            left = await self.due()
            assert left == []
            return True

        await eventually(nothing, within=within)

    def calls(self, route: str) -> int:
        counted: dict[str, int] = self.sim.do("GET", "/state")["rest_calls"]
        return sum(number for name, number in counted.items() if route in name)


@pytest.fixture
async def world(
    log: Log, sim: Simulator, environ: dict[str, str], postgres_dsn: str, valkey_url: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with (
        process.staged(log.bootstrap, postgres_dsn, valkey_url, tmp_path) as stage,
        process.writer(log.bootstrap) as writer,
    ):
        await stage.start()
        wanted = {**environ, **QUICK, "UMBRA_POSTGRES_DSN": stack.as_role(postgres_dsn, postgres.READER)}
        yield World(stage, log, writer, sim, wanted)


@contextlib.asynccontextmanager
async def repairing(world: World, tmp_path: Path, **more: str) -> AsyncIterator[Ingestor]:
    async with harness.ingesting({**world.environ, **more}, tmp_path / "ingestor.log") as ingestor:
        await ingestor.ready()
        yield ingestor


def seeded(sim: Simulator, name: str, index: int = 0) -> dict[str, Any]:
    record: dict[str, Any] = sim.do("GET", f"/records/{name}")["records"][index]
    return record


def dirty(name: str, record_id: str, ago_ms: int = 0) -> RecordChange:
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


async def reads(log: Log, name: str, record_id: str) -> list[RecordChange]:
    found = [c for c in await log.changes(name) if c.record_id == record_id and c.origin == "repair"]
    return found


async def test_dirty_record_is_read_once_late_enough_to_prove_it(world: World, tmp_path: Path) -> None:
    product = seeded(world.sim, "Product2")
    mark = dirty("Product2", product["Id"])
    await world.writer.write(mark)
    await world.projected(product["Id"], "dirty")

    async with repairing(world, tmp_path) as ingestor:
        await world.settled()
        assert await ingestor.metric("ingest_repairs_total", reason="dirty", outcome="snapshot") == 1
        assert await ingestor.metric("ingest_repair_reads_total") == 1

    (read,) = await reads(world.log, "Product2", product["Id"])
    assert (read.kind, read.covers, read.fields["Name"]) == ("snapshot", "all", product["Name"])
    assert read.version > mark.version
    assert world.calls("sobjects") == 1


async def test_records_that_are_due_together_are_read_in_one_call(world: World, tmp_path: Path) -> None:
    products = [record["Id"] for record in world.sim.do("GET", "/records/Product2")["records"][:50]]
    await world.writer.write(*(dirty("Product2", record_id, ago_ms=60_000) for record_id in products))
    await world.projected(products[-1], "dirty")

    async with repairing(world, tmp_path):
        await world.settled()

    assert world.calls("sobjects") == 1


async def test_record_that_salesforce_does_not_show_is_absent_and_read_no_more(world: World, tmp_path: Path) -> None:
    nobody = ids.parse("01t000000000ZZZ")
    await world.writer.write(dirty("Product2", nobody, ago_ms=60_000))
    await world.projected(nobody, "dirty")

    async with repairing(world, tmp_path) as ingestor:
        await world.settled()
        calls = world.calls("sobjects")
        await asyncio.sleep(1.5)
        assert await ingestor.metric("ingest_repairs_total", outcome="absent") == 1

    (read,) = await reads(world.log, "Product2", nobody)
    assert (read.kind, read.fields) == ("absent", {"IsDeleted": True})
    assert world.calls("sobjects") == calls == 1


async def test_record_that_stays_incomplete_is_read_by_id(world: World, tmp_path: Path) -> None:
    product = seeded(world.sim, "Product2")
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

    async def hidden() -> bool:
        return bool(await world.stage.value("UPDATE sf_hidden SET since = now() - interval '3 minutes' RETURNING 1"))

    await eventually(hidden)
    async with repairing(world, tmp_path) as ingestor:
        await world.settled()
        assert await ingestor.metric("ingest_repairs_total", reason="incomplete", outcome="snapshot") == 1

    assert await world.stage.value("SELECT name FROM sf_product_shadow") == product["Name"]


async def test_order_whose_status_event_was_lost_is_observed(world: World, tmp_path: Path) -> None:
    order = next(o for o in world.sim.do("GET", "/records/Order")["records"] if o["Status"] not in ("Draft", None))
    began = versions.millis(SYSTEM.now()) - 600_000
    await world.writer.write(
        RecordChange(
            kind="snapshot",
            object="Order",
            record_id=order["Id"],
            version=versions.read_version(began),
            origin="backfill",
            fields={"IsDeleted": False, "Status": "Draft", "AccountId": order["AccountId"]},
        ),
        dirty("Order", order["Id"], ago_ms=60_000),
    )
    await world.projected(order["Id"], "dirty")

    async with repairing(world, tmp_path):
        await world.settled()

        async def told() -> bool:
            return bool(await world.log.statuses())

        await eventually(told)

    (status,) = [s for s in await world.log.statuses() if s.order_id == order["Id"]]
    assert (status.kind, status.status) == ("observed", order["Status"])


async def test_overflow_is_closed_by_a_full_read(world: World, tmp_path: Path) -> None:
    at = SYSTEM.now() - timedelta(minutes=1)
    await world.writer.write(
        Watermark(
            object="Product2",
            basis="hole",
            origin="cdc",
            hole_id="overflow:0a",
            hole_from=at,
            hole_to=at,
            reason="overflow",
        )
    )

    async def opened() -> bool:
        return "overflow:0a" in await world.open_holes()

    async def closed() -> bool:
        return "overflow:0a" not in await world.open_holes()

    await eventually(opened)
    async with repairing(world, tmp_path) as ingestor:
        await eventually(closed, within=40)
        assert await ingestor.metric("ingest_repairs_total", reason="overflow", outcome="closed") == 1

    (end, *_) = [m for m in await world.log.watermarks("Product2") if m.basis == "full" and m.phase == "end"]
    assert "overflow:0a" in end.closes
    assert world.sim.do("GET", "/state")["bulk_jobs"] == 1


async def test_nothing_due_costs_no_call(world: World, tmp_path: Path) -> None:
    async with repairing(world, tmp_path) as ingestor:
        await asyncio.sleep(2)
        assert await ingestor.metric("ingest_runs_jobs") == 1

    assert world.sim.do("GET", "/state")["daily_api_calls"]["used"] == 0


async def test_repair_that_the_budget_refuses_waits_and_the_stream_goes_on(world: World, tmp_path: Path) -> None:
    product = seeded(world.sim, "Product2")
    await world.writer.write(dirty("Product2", product["Id"], ago_ms=60_000))
    await world.projected(product["Id"], "dirty")

    async with repairing(world, tmp_path, UMBRA_SALESFORCE_FLOOR_REPAIR="0.999999") as ingestor:

        async def refused() -> bool:
            return await ingestor.metric("ingest_repairs_postponed_total", object="Product2", reason="budget") >= 1

        await eventually(refused)
        made = world.sim.do("POST", "/records/Product2", {"Name": "Meanwhile"})

        async def arrived() -> bool:
            return made["Id"] in {change.record_id for change in await world.log.changes("Product2")}

        await eventually(arrived)

    assert await reads(world.log, "Product2", product["Id"]) == []


async def test_postgres_that_is_away_stops_repairs_and_nothing_else(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    away = {**environ, **QUICK, "UMBRA_POSTGRES_DSN": "postgresql://nobody@127.0.0.1:1/none"}
    async with harness.ingesting(away, tmp_path / "log") as ingestor:
        await ingestor.ready()
        made = sim.do("POST", "/records/Product2", {"Name": "Meanwhile"})

        async def arrived() -> bool:
            return made["Id"] in {change.record_id for change in await log.changes("Product2")}

        await eventually(arrived)
        assert await ingestor.is_ready()
