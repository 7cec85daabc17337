"""Applying a batch on a real Postgres: rows, tags, offsets and coverage in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from tests.integration.projector import harness
from tests.integration.projector.harness import Bench, Log, change, entry, product, sf_id


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with harness.opened(postgres_dsn) as made:
        yield made


async def test_a_product_and_its_price_become_rows_in_either_order(bench: Bench) -> None:
    log = Log()

    await bench.apply(log.append(entry(1, of=1, price="19.99"), product(1, "INT-1")))

    shadow = await bench.shadow()
    assert shadow.products[sf_id("Product2", 1)].sku == "INT-1"
    assert shadow.entries[sf_id("PricebookEntry", 1)].unit_price == Decimal("19.99")
    assert not shadow.hidden


async def test_an_update_changes_the_row_and_tells_old_and_new_tags(bench: Bench) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "INT-1", Item_Class__c="Internet")))
    await bench.clear_outbox()

    await bench.apply(log.append(change("update", "Product2", 1, 60_000, Item_Class__c="SIM")))

    assert await bench.tags() == {
        "catalog:sku:INT-1",
        "catalog:list:Internet",
        "catalog:list:SIM",
        "catalog:list:*",
    }
