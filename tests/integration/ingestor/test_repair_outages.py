"""Repairs that cannot be done wait, and the stream goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.stack import postgres
from tests.integration.ingestor import harness
from tests.integration.ingestor.harness import Log
from tests.integration.ingestor.test_repair import QUICK, dirty
from tests.integration.projector import process
from tests.support import stack
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

pytestmark = pytest.mark.long


async def arrives(log: Log, sim: Simulator) -> None:
    made = sim.do("POST", "/records/Product2", {"Name": "Meanwhile"})

    async def found() -> bool:
        return made["Id"] in {change.record_id for change in await log.changes("Product2")}

    await eventually(found)


async def test_repair_that_the_budget_refuses_waits(
    log: Log, sim: Simulator, environ: dict[str, str], postgres_dsn: str, valkey_url: str, tmp_path: Path
) -> None:
    product = sim.do("GET", "/records/Product2")["records"][0]
    reader = stack.as_role(postgres_dsn, postgres.READER)
    wanted = {**environ, **QUICK, "UMBRA_POSTGRES_DSN": reader, "UMBRA_SALESFORCE_FLOOR_REPAIR": "0.999999"}
    async with (
        process.staged(log.bootstrap, postgres_dsn, valkey_url, tmp_path) as stage,
        process.writer(log.bootstrap) as writer,
        harness.ingesting(wanted, tmp_path / "log") as ingestor,
    ):
        await stage.start()
        await ingestor.ready()
        await writer.write(dirty("Product2", product["Id"]))

        async def refused() -> bool:
            return await ingestor.metric("ingest_repairs_postponed_total", object="Product2", reason="budget") >= 1

        await eventually(refused, within=20)
        await arrives(log, sim)

    assert [change for change in await log.changes("Product2") if change.origin == "repair"] == []


async def test_postgres_that_is_away_stops_repairs_and_nothing_else(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    away = {**environ, **QUICK, "UMBRA_POSTGRES_DSN": "postgresql://nobody@127.0.0.1:1/none"}
    async with harness.ingesting(away, tmp_path / "log") as ingestor:
        await ingestor.ready()
        await arrives(log, sim)
        assert await ingestor.is_ready()
