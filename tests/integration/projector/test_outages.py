"""Kafka, Postgres and Valkey go away and come back under a running projector: it waits, and loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.stack import kafka, postgres, valkey
from services.ops import schema
from tests.integration.projector.harness import change, entry, product, sf_id
from tests.integration.projector.process import Stage, Writer, at_rest, eventually_row, staged, writer
from tests.integration.projector.test_process import CATALOG, PRODUCTS, SKU, renamed, rests
from tests.support import stack
from tests.support.eventually import eventually


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[postgres.Database]:
    """A PostgreSQL of this test's own, to be stopped."""
    with stack.scratch("projector") as state:
        async with postgres.running(state) as server:
            await schema.apply(server.dsn)
            yield server


@pytest.fixture
async def own_stage(
    kafka_bootstrap: str, database: postgres.Database, valkey_url: str, tmp_path: Path
) -> AsyncIterator[Stage]:
    await stack.fresh_topics(kafka_bootstrap, database.dsn)
    async with staged(kafka_bootstrap, database.dsn, valkey_url, tmp_path) as made:
        yield made


async def test_postgres_away_holds_the_batch_and_goes_on_by_itself(
    own_stage: Stage, database: postgres.Database, log: Writer
) -> None:
    process = await own_stage.start()
    await log.write(product(1, "A"))
    await eventually_row(own_stage, SKU, "A", sf_id("Product2", 1))
    await database.kill()
    await log.write(renamed(1, "B"), *(product(number, f"S{number}") for number in range(2, 1500)))
    await eventually(lambda: process.said("hold"), within=10)
    assert process.running.returncode is None

    await database.start()

    await own_stage.reconnect()
    await eventually_row(own_stage, PRODUCTS, 1499, within=30)
    await rests(own_stage)
    assert process.running.returncode is None


async def test_asked_to_stop_while_postgres_is_away_it_stops(
    own_stage: Stage, database: postgres.Database, log: Writer
) -> None:
    process = await own_stage.start()
    await log.write(product(1, "A"))
    await eventually_row(own_stage, SKU, "A", sf_id("Product2", 1))
    await database.kill()
    await log.write(renamed(1, "B"))
    await eventually(lambda: process.said("hold"), within=10)

    process.terminate()

    assert await process.ended(within=20) == 0
    assert not process.said("quiet"), "the batch was not given up at once"
    await database.start()
    await own_stage.reconnect()
    await own_stage.start()
    await eventually_row(own_stage, SKU, "B", sf_id("Product2", 1))


async def test_started_before_postgres_it_waits(own_stage: Stage, database: postgres.Database, log: Writer) -> None:
    await log.write(product(1, "A"))
    await database.stop()
    process = await own_stage.start()
    await eventually(lambda: process.said("wait"), within=10)
    status, _ = await process.get("/health/ready")

    await database.start()

    await own_stage.reconnect()
    await eventually_row(own_stage, SKU, "A", sf_id("Product2", 1))
    assert status == 503


async def test_valkey_away_lets_rows_go_on_and_holds_the_commit_until_caches_are_told(
    kafka_bootstrap: str, postgres_dsn: str, tmp_path: Path, log: Writer
) -> None:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    with stack.scratch("projector") as state:
        async with (
            valkey.running(state) as cache,
            staged(kafka_bootstrap, postgres_dsn, cache.url, tmp_path) as stage,
        ):
            await stage.start()
            await log.write(product(1, "A"))
            await eventually_row(stage, SKU, "A", sf_id("Product2", 1))
            await rests(stage)
            await cache.kill()

            await log.write(renamed(1, "B"))
            await eventually_row(stage, SKU, "B", sf_id("Product2", 1))
            await asyncio.sleep(2.5)  # more than two rounds of commits
            assert await stage.value("SELECT count(*) FROM cache_outbox") > 0
            with pytest.raises(AssertionError):
                await at_rest(stage, CATALOG)
            await cache.start()

            await eventually_row(stage, "SELECT count(*) FROM cache_outbox", 0)
            await rests(stage)


async def test_tags_left_by_a_dead_worker_are_told_by_the_next(
    kafka_bootstrap: str, postgres_dsn: str, tmp_path: Path, log: Writer
) -> None:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    with stack.scratch("projector") as state:
        async with (
            valkey.running(state) as cache,
            staged(kafka_bootstrap, postgres_dsn, cache.url, tmp_path) as stage,
        ):
            first = await stage.start()
            await log.write(product(1, "A"))
            await eventually_row(stage, SKU, "A", sf_id("Product2", 1))
            await rests(stage)
            await cache.kill()
            await log.write(renamed(1, "B"))
            await eventually_row(stage, SKU, "B", sf_id("Product2", 1))
            first.kill()
            await first.ended()
            await stage.start()
            await asyncio.sleep(1)
            assert await stage.value("SELECT count(*) FROM cache_outbox") > 0

            await cache.start()

            await eventually_row(stage, "SELECT count(*) FROM cache_outbox", 0)
            await rests(stage)


async def test_the_broker_is_killed_and_restarted_under_load(
    postgres_dsn: str, valkey_url: str, tmp_path: Path
) -> None:
    with stack.scratch("projector") as state:
        async with kafka.running(state) as broker:
            await stack.fresh_topics(broker.bootstrap, postgres_dsn)
            async with (
                staged(broker.bootstrap, postgres_dsn, valkey_url, tmp_path) as stage,
                writer(broker.bootstrap) as log,
            ):
                process = await stage.start()
                await log.write(*(product(number, f"S{number}") for number in range(200)))
                await eventually_row(stage, PRODUCTS, 200)
                await broker.kill()
                await asyncio.sleep(1)
                await broker.start()

                async with writer(broker.bootstrap, "another-writer") as after:
                    await after.write(*(entry(number, of=number) for number in range(200)))
                    await after.write(*(change("update", "Product2", n, 60_000, Name="New") for n in range(200)))

                    await eventually_row(stage, "SELECT count(*) FROM sf_pricebook_shadow", 200, within=60)
                    await eventually_row(stage, "SELECT count(*) FROM sf_product_shadow WHERE name = 'New'", 200)
                    await rests(stage)
                assert process.running.returncode is None
