"""The whole projector as a process: from the log to the rows, through every way of ending."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.projector.harness import change, entry, product, sf_id
from tests.integration.projector.process import Stage, Writer, eventually_row, staged, writer
from tests.support import stack


@pytest.fixture
async def stage(kafka_bootstrap: str, postgres_dsn: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    async with staged(kafka_bootstrap, postgres_dsn, valkey_url, tmp_path) as made:
        yield made


@pytest.fixture
async def log(kafka_bootstrap: str) -> AsyncIterator[Writer]:
    async with writer(kafka_bootstrap) as made:
        yield made


PRICE = "SELECT unit_price::text FROM sf_pricebook_shadow WHERE pricebook_entry_id = $1"


async def test_a_snapshot_and_an_update_become_rows(stage: Stage, log: Writer) -> None:
    await log.write(product(1, "INT-1"), entry(1, of=1, price="4980"))
    await stage.start()
    await eventually_row(stage, PRICE, "4980.00", sf_id("PricebookEntry", 1))

    await log.write(change("update", "PricebookEntry", 1, 60_000, UnitPrice="5480"))

    await eventually_row(stage, PRICE, "5480.00", sf_id("PricebookEntry", 1))


async def test_asked_to_stop_it_drains_and_exits_with_0(stage: Stage, log: Writer) -> None:
    await log.write(product(1, "INT-1"), entry(1, of=1))
    process = await stage.start()
    await eventually_row(stage, PRICE, "4980.00", sf_id("PricebookEntry", 1))

    process.terminate()

    assert await process.ended(within=10) == 0
