"""Deleted records are remembered for as long as anything old could bring them back, and not much longer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from services.kernel import postgres
from services.kernel.settings import PostgresSettings
from services.projector.metrics import Metrics
from services.projector.tombstones import Tombstones
from tests.integration.projector import harness
from tests.integration.projector.harness import Bench, Log, change, product, sf_id, snapshot, status

DAYS = timedelta(days=45)
PRODUCT, ORDER = "Product2", "Order"


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with harness.opened(postgres_dsn) as made:
        yield made


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def tombstones(postgres_dsn: str, registry: CollectorRegistry) -> AsyncIterator[Tombstones]:
    async with postgres.pool(PostgresSettings(postgres_dsn=postgres_dsn)) as pool:
        yield Tombstones(pool, Metrics(registry), DAYS)


async def aged(bench: Bench, *records: str, days: int = 46) -> None:
    sql = "UPDATE sf_record SET changed_at = now() - make_interval(days => $2) WHERE record_id = ANY ($1::text[])"
    await bench.connection.execute(sql, list(records), days)


async def known(bench: Bench) -> set[str]:
    return {row[0] for row in await bench.connection.fetch("SELECT record_id FROM sf_record")}


async def test_only_what_was_deleted_long_ago_is_forgotten(
    bench: Bench, tombstones: Tombstones, registry: CollectorRegistry
) -> None:
    said = [product(number, f"S-{number}") for number in (1, 2, 3)]
    await bench.apply(Log().append(*said, *(change("delete", PRODUCT, number, 60_000) for number in (1, 2))))
    old, recent, alive = (sf_id(PRODUCT, number) for number in (1, 2, 3))
    await aged(bench, old, alive)
    await aged(bench, recent, days=44)

    assert await tombstones.forget(0) == 1
    await tombstones.count()

    assert await known(bench) == {recent, alive}
    assert registry.get_sample_value("projector_tombstones", {"object": PRODUCT}) == 1
    assert registry.get_sample_value("projector_forgotten_records_total", {"object": PRODUCT}) == 1


async def test_a_deleted_record_that_may_have_come_back_stays(bench: Bench, tombstones: Tombstones) -> None:
    log = Log()
    await bench.apply(log.append(change("delete", PRODUCT, 1, 60_000), change("dirty", PRODUCT, 1, 90_000)))
    await bench.apply(log.append(change("delete", PRODUCT, 2, 60_000), change("dirty", PRODUCT, 2, 30_000)))
    await aged(bench, sf_id(PRODUCT, 1), sf_id(PRODUCT, 2))

    assert await tombstones.forget(0) == 1

    assert await known(bench) == {sf_id(PRODUCT, 1)}


async def test_an_orders_statuses_go_with_it_and_others_stay(bench: Bench, tombstones: Tombstones) -> None:
    orders = [snapshot(ORDER, number, Status="Draft") for number in (1, 2)]
    statuses = [status(number, "Activated", 1000) for number in (1, 2)]
    await bench.apply(Log().append(*orders, *statuses, change("delete", ORDER, 1, 60_000)))
    await aged(bench, sf_id(ORDER, 1), sf_id(ORDER, 2))

    assert await tombstones.forget(0) == 1

    left = await bench.connection.fetch("SELECT order_id FROM sf_order_status")
    assert [row[0] for row in left] == [sf_id(ORDER, 2)]
