"""What is away is gone around: Valkey, Postgres, Kafka, and Salesforce, one after another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sandbox.stack import postgres, valkey
from sandbox.stack.postgres import Database
from sandbox.stack.valkey import Cache
from services.ops import schema
from tests.contract.salesforce_sim.simulator import Simulator
from tests.integration.gateway import world as worlds
from tests.integration.gateway.log_reader import ensure_topics
from tests.integration.gateway.test_orders import place
from tests.integration.gateway.world import World, token
from tests.support import stack
from tests.support.eventually import eventually

SKU = "INT-HOME-GOLD-1G"


@pytest.fixture
def state() -> Iterator[Path]:
    with stack.scratch("gw") as path:
        yield path


@pytest.fixture
async def own_valkey(state: Path) -> AsyncIterator[Cache]:
    async with valkey.running(state) as server:
        yield server


@pytest.fixture
async def own_postgres(state: Path) -> AsyncIterator[Database]:
    async with postgres.running(state) as server:
        await schema.apply(server.dsn)
        yield server


@pytest.fixture
async def mortal(
    sim: Simulator, own_postgres: Database, own_valkey: Cache, kafka_bootstrap: str
) -> AsyncIterator[World]:
    """A world whose servers may die."""
    sim.do("POST", "/switch", {"salesforce": "on"})
    await ensure_topics(kafka_bootstrap)
    reader = own_postgres.dsn_of(postgres.READER)
    async with worlds.opened(sim, reader, own_postgres.dsn, own_valkey.url, kafka_bootstrap) as opened:
        yield opened


async def test_without_valkey_the_shadow_answers_and_with_it_again_the_caches_do(
    mortal: World, own_valkey: Cache
) -> None:
    async with mortal.gateway() as gateway:
        await gateway.get(f"/catalog/products/{SKU}")
        await own_valkey.kill()
        answers = [await gateway.get(f"/catalog/products/{SKU}") for _ in range(20)]
        ready = await gateway.get("/health/ready")
        await mortal.change("PricebookEntry", mortal.entry(SKU)["Id"], UnitPrice="3333")
        changed = await gateway.get("/catalog/prices", sku=SKU)
        await own_valkey.restart()

        async def is_cached() -> bool:
            return (await gateway.get(f"/catalog/products/{SKU}")).source == "process"

        await eventually(is_cached, within=15)

    assert {answer.status for answer in answers} == {200}
    assert answers[-1].source == "shadow"
    assert ready.status == 200
    assert "3333.00" in str(changed.body)


async def test_an_order_needs_no_valkey(mortal: World, own_valkey: Cache) -> None:
    account = mortal.account("Home 1G")
    async with mortal.gateway() as gateway:
        await own_valkey.kill()
        first = await place(gateway, account, "key-no-valkey")
        again = await place(gateway, account, "key-no-valkey")

    assert [first.status, again.status] == [201, 201], first.body
    assert first.body["orderId"] == again.body["orderId"]


async def test_without_postgres_the_cache_answers_then_salesforce(mortal: World, own_postgres: Database) -> None:
    account = mortal.account("Home 1G")
    async with mortal.gateway(UMBRA_NEAR_SECONDS="0", UMBRA_CACHE_SECONDS="0") as gateway:
        await gateway.get(f"/catalog/products/{SKU}")
        await own_postgres.kill()
        kept = await gateway.get(f"/catalog/products/{SKU}")
        live = await gateway.get("/catalog/products/SIM-DATA-5GB")
        again = await gateway.get("/catalog/products/SIM-DATA-5GB")
        ready = await gateway.get("/health/ready")
        order = await place(gateway, account, "key-no-postgres", {"lines": [{"sku": "VPN-UK"}], "currency": "JPY"})
        mortal.switch("off")
        nothing = await gateway.get("/catalog/products/VPN-UK")
        mortal.switch("on")

    assert (kept.status, kept.source) == (200, "valkey")
    assert (live.status, live.source, again.source) == (200, "live", "live")
    assert ready.status == 200
    assert order.status == 201, order.body
    assert (nothing.status, nothing.body["type"]) == (503, "urn:umbra:problem:unavailable")


async def test_with_postgres_again_the_shadow_answers(mortal: World, own_postgres: Database) -> None:
    async with mortal.gateway(UMBRA_NEAR_SECONDS="0", UMBRA_CACHE_SECONDS="0") as gateway:
        await own_postgres.kill()
        await gateway.get("/catalog/products/SIM-DATA-10GB")
        await own_postgres.restart()

        async def from_shadow() -> bool:
            return (await gateway.get("/catalog/products/SIM-DATA-10GB")).source == "shadow"

        await eventually(from_shadow, within=15)


async def test_without_kafka_everything_is_read_and_nothing_is_ordered(world: World) -> None:
    account = world.account("Home 1G")
    before = len(list(world.records("Order")))
    async with world.gateway(UMBRA_KAFKA_BOOTSTRAP="127.0.0.1:9") as gateway:
        read = await gateway.get("/orders", token(account))
        order = await place(gateway, account, "key-no-kafka")

    assert read.status == 200
    assert (order.status, order.body["type"]) == (503, "urn:umbra:problem:unavailable")
    assert len(list(world.records("Order"))) == before


async def test_a_gateway_that_starts_while_everything_is_away_becomes_ready_when_it_comes_back(
    mortal: World, own_postgres: Database, own_valkey: Cache
) -> None:
    await own_postgres.kill()
    await own_valkey.kill()
    mortal.switch("off")
    async with mortal.gateway(wait=False) as gateway:
        await eventually(gateway.answers, within=10)
        away = await gateway.get("/health/ready")
        await own_postgres.restart()
        await own_valkey.restart()
        mortal.switch("on")
        await eventually(gateway.is_ready, within=30)
        answer = await gateway.get(f"/catalog/products/{SKU}")

    assert away.status == 503
    assert set(away.body["faults"]) == {"price_book", "sources"}
    assert answer.status == 200
