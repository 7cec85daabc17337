"""`umbra reproject` on a real Postgres: a changed mapping, the rows it makes, and workers that go on meanwhile."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from schemas import mapping, tags, topics
from schemas.mapping import Mapping
from services.kernel.tagcache import Hit, Miss, TagCache
from services.ops import reproject as command
from services.ops.errors import CommandFailed
from services.projector import difference, locks, reproject
from services.projector import link as links
from services.projector.project import shadow
from services.projector.reproject import Done
from tests.integration.projector import harness, orgs
from tests.integration.projector.harness import MAPPING, Bench, Log, change, entry, product, sf_id, snapshot, status
from tests.support.eventually import eventually

OBJECTS = ("Product2", "PricebookEntry", "Account", "Order")
_TABLES = """sf_record, sf_product_shadow, sf_pricebook_shadow, sf_account_eligibility_shadow, sf_order_shadow,
  sf_order_status, sf_hidden, projection_offset, cache_outbox"""
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with harness.opened(postgres_dsn) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A mapping under which SKUs come from another field, a class is another, and one more field is required."""
    text = mapping.DEFAULT_FILE.read_text()
    text = text.replace('StockKeepingUnit = { type = "text", column = "sku", required = true }', "")
    text = text.replace('Name = { type = "text", column = "name", required = true }', 'Name = { column = "name" }')
    text = text.replace('Item_Class__c = { type = "text", column = "item_class" }', 'Item_Class__c = { type = "text" }')
    text = text.replace(
        'Description = { type = "text", answer = "description" }',
        'Second_SKU__c = { type = "text", column = "sku", required = true }',
    )
    text = text.replace('CreatedDate = { type = "datetime"', 'CreatedDate = { required = true, type = "datetime"')
    text = text.replace('Draft = "Your order has been received."', 'Draft = "We have your order."')
    made = tmp_path / "mapping.toml"
    made.write_text(text)
    return made


def swapped(numbers: list[int]) -> list[Any]:
    """Products whose second SKUs are the first ones of their neighbours, in a ring."""
    return [product(n, f"S-{n}", Second_SKU__c=f"S-{numbers[at - 1]}") for at, n in enumerate(numbers)]


@pytest.fixture
def dsn(postgres_dsn: str) -> str:
    return postgres_dsn


async def rebuilt(dsn: str, fields: Mapping, most: int = 500) -> None:
    link = await reproject.connect(dsn)
    try:
        for name in OBJECTS:
            async for _ in reproject.run(link, fields, name, Done(), most):
                pass
    finally:
        await link.connection.close()


async def assert_is_pure(bench: Bench, fields: Mapping) -> None:
    assert await bench.shadow() == shadow(fields, await bench.states(), await bench.statuses())


async def planned(dsn: str, fields: Mapping) -> dict[str, difference.Difference]:
    link = await reproject.connect(dsn)
    try:
        return {name: await difference.of(link, fields, name, with_products=True) for name in OBJECTS}
    finally:
        await link.connection.close()


async def ran(
    capsys: pytest.CaptureFixture[str], dsn: str, valkey: str, file: Path, *names: str, **more: Any
) -> tuple[int, dict[str, Any]]:
    environ = {"UMBRA_POSTGRES_DSN": dsn, "UMBRA_VALKEY_URL": valkey, "UMBRA_MAPPING_FILE": str(file)}
    given: dict[str, Any] = {"execute": False, "slice": 2, "fresh": False, "json": True, **more}
    code = await command.run(argparse.Namespace(environ=environ, name=list(names), **given))
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def some_of_everything() -> list[Any]:
    return [
        *swapped([1, 2, 3]),
        product(4, "S-4"),
        *(entry(number, of=number) for number in (1, 2, 3, 4)),
        snapshot("Account", 1, Internet_Eligibility__c="Home 1G"),
        snapshot("Order", 1, AccountId=sf_id("Account", 1), Status="Draft"),
        snapshot("Order", 2, Status="Draft", CreatedDate="2026-11-02T03:04:05.000Z"),
        status(2, "Draft"),
    ]


async def test_a_plan_names_what_would_change_and_writes_nothing(
    bench: Bench, capsys: pytest.CaptureFixture[str], dsn: str, file: Path
) -> None:
    await bench.apply(Log().append(*some_of_everything()))
    before = await bench.shadow()

    code, document = await ran(capsys, dsn, NOWHERE, file, "sf_product_shadow", "Order")

    plan = {each["table"]: each for each in document["plan"]}
    assert code == 0
    assert await bench.shadow() == before
    assert {name: (each["appear"], each["change"], each["go"], each["hide"]) for name, each in plan.items()} == {
        "sf_product_shadow": (0, 3, 1, 1),
        "sf_pricebook_shadow": (0, 0, 1, 1),
        "sf_order_shadow": (0, 0, 1, 1),
    }
    assert plan["sf_product_shadow"]["claims"] == 4
    assert plan["sf_order_shadow"]["messages"] == 1


async def test_rows_claims_and_what_is_hidden_become_those_of_the_new_mapping(
    bench: Bench, capsys: pytest.CaptureFixture[str], dsn: str, file: Path, valkey_url: str
) -> None:
    fields = mapping.load(file)
    await bench.apply(Log().append(*some_of_everything()))
    await bench.clear_outbox()

    code, document = await ran(capsys, dsn, valkey_url, file, *OBJECTS, execute=True)

    assert code == 0, document
    assert [each["records"] for each in document["done"]] == [4, 4, 1, 2]
    await assert_is_pure(bench, fields)
    made = await bench.shadow()
    assert {row.sku for row in made.products.values()} == {"S-1", "S-2", "S-3"}
    assert not any(each.any for each in (await planned(dsn, fields)).values())
    assert not await bench.tags()
    assert await bench.connection.fetchval("SELECT count(*) FROM reprojection") == 0
    assert await bench.connection.fetchval("SELECT message FROM sf_order_status") == "We have your order."


async def test_answers_kept_under_old_and_new_rows_are_void(
    bench: Bench, capsys: pytest.CaptureFixture[str], dsn: str, file: Path, valkey_url: str
) -> None:
    await bench.apply(Log().append(*some_of_everything()))
    await bench.clear_outbox()
    redis = Redis.from_url(valkey_url)
    cache = TagCache(redis)
    kept = {sku: tags.with_families([tags.sku(sku)]) for sku in ("S-1", "S-2", "S-4", "ELSE")}
    for sku, under in kept.items():
        miss = await cache.read(sku, under)
        assert isinstance(miss, Miss)
        await cache.fill(miss, b"{}", seconds=60)

    await ran(capsys, dsn, valkey_url, file, "Product2", execute=True)

    found = {sku: isinstance(await cache.read(sku, under), Hit) for sku, under in kept.items()}
    await redis.aclose()
    assert found == {"S-1": False, "S-2": False, "S-4": False, "ELSE": True}


async def test_with_valkey_away_the_tags_wait_for_a_worker(
    bench: Bench, capsys: pytest.CaptureFixture[str], dsn: str, file: Path
) -> None:
    await bench.apply(Log().append(*some_of_everything()))
    await bench.clear_outbox()

    code, document = await ran(capsys, dsn, NOWHERE, file, "Product2", execute=True)

    assert code == 0
    assert document["done"][0]["untold"] == document["done"][0]["tags"] > 0
    assert {"catalog:sku:S-1", "catalog:sku:S-3", "catalog:sku:S-4"} <= await bench.tags()
    stands = "SELECT count(*) FROM cache_outbox b JOIN projection_offset o USING (topic, partition, next_offset)"
    assert await bench.connection.fetchval(stands) == await bench.connection.fetchval(
        "SELECT count(*) FROM cache_outbox"
    )


@pytest.mark.parametrize("most", [1, 3])
async def test_skus_that_change_hands_in_a_ring_are_never_held_twice(
    bench: Bench, dsn: str, file: Path, most: int
) -> None:
    fields = mapping.load(file)
    await bench.apply(Log().append(*swapped([1, 2, 3, 4, 5, 6, 7])))

    await rebuilt(dsn, fields, most)

    await assert_is_pure(bench, fields)


async def test_a_worker_of_the_new_mapping_meets_rows_of_the_old_one(bench: Bench, dsn: str, file: Path) -> None:
    fields = mapping.load(file)
    log = Log()
    await bench.apply(log.append(*swapped([1, 2, 3, 4, 5])))

    await bench.apply(log.append(change("update", "Product2", 2, 60_000, Name="Renamed")), mapping=fields)

    names = {row.sku: row.name for row in (await bench.shadow()).products.values()}
    assert names["S-1"] == "Renamed"
    await rebuilt(dsn, fields)
    await assert_is_pure(bench, fields)


def another(seed: int, file: Path) -> Mapping:
    """A mapping by which SKUs come from another field, or classes from none."""
    text = file.read_text().replace("Second_SKU__c", ("Item_Class__c", "StockKeepingUnit")[seed % 2])
    made = file.with_name(f"mapping-{seed}.toml")
    made.write_text(text.replace('Item_Class__c = { type = "text" }\n', "") if seed % 2 == 0 else text)
    return mapping.load(made)


async def test_any_state_is_projected_anew_whatever_the_slices(bench: Bench, dsn: str, file: Path) -> None:
    for seed in range(12):
        await bench.connection.execute(f"TRUNCATE {_TABLES} CASCADE")
        await harness.begin(bench.connection)
        rng, fields = random.Random(seed), another(seed, file)
        await bench.apply(Log().append(*orgs.make(rng).messages))

        await rebuilt(dsn, fields, rng.choice((1, 2, 500)))

        await assert_is_pure(bench, fields)
        assert not any(each.any for each in (await planned(dsn, fields)).values())


async def test_a_worker_waits_for_a_slice_at_most(bench: Bench, file: Path, dsn: str) -> None:
    fields, log = mapping.load(file), Log()
    await bench.apply(log.append(*swapped(list(range(1, 9)))))
    link, other = await reproject.connect(dsn), await links.connect(dsn)
    at = 0
    try:
        worker = Bench(other)
        async for _ in reproject.run(link, fields, "Product2", Done(), 1):
            at += 1
            renamed = change("update", "Product2", 9 - at, at * 1000, Second_SKU__c=f"S-{at}", Name=f"New {at}")
            async with asyncio.timeout(10):
                await worker.apply(log.append(renamed), mapping=fields)
    finally:
        await other.connection.close()
        await link.connection.close()

    assert at == 8
    await assert_is_pure(bench, fields)


async def test_an_interrupted_run_goes_on_and_another_mapping_begins_anew(
    bench: Bench, capsys: pytest.CaptureFixture[str], dsn: str, file: Path
) -> None:
    fields = mapping.load(file)
    await bench.apply(Log().append(*swapped([1, 2, 3, 4])))
    link = await reproject.connect(dsn)
    slices = reproject.run(link, fields, "Product2", Done(), 3)
    first = await anext(slices)
    await slices.aclose()

    stood = await reproject.stands(link, fields, "Product2")
    anew = await reproject.stands(link, MAPPING, "Product2")
    await link.connection.close()
    code, document = await ran(capsys, dsn, NOWHERE, file, "Product2", execute=True)

    assert (stood.after, stood.records) == (first.after, 3)
    assert anew == Done()
    assert (code, document["done"][0]["records"]) == (0, 4)
    assert document["done"][0]["tags"] < first.records * 3


async def test_rows_without_a_record_go_and_rows_written_by_hand_are_mended(bench: Bench, dsn: str) -> None:
    log = Log()
    await bench.apply(log.append(product(1, "A"), product(2, "B"), entry(1, of=1), entry(2, of=2)))
    await bench.connection.execute("UPDATE sf_product_shadow SET sku = 'C', name = 'Wrong' WHERE sku = 'A'")
    await bench.connection.execute("DELETE FROM sf_record WHERE record_id = $1", sf_id("Product2", 2))

    await rebuilt(dsn, MAPPING)

    await assert_is_pure(bench, MAPPING)
    assert {row.sku: row.name for row in (await bench.shadow()).products.values()} == {"A": "Product 1"}


async def test_a_sku_held_by_a_row_whose_product_does_not_want_it_is_given_back(bench: Bench, dsn: str) -> None:
    await bench.apply(Log().append(product(1, "A"), product(2, "B")))
    await bench.connection.execute("DELETE FROM sf_product_shadow WHERE sku = 'A'")
    await bench.connection.execute("UPDATE sf_product_shadow SET sku = 'A' WHERE sku = 'B'")

    await rebuilt(dsn, MAPPING, 1)

    await assert_is_pure(bench, MAPPING)


async def test_accounts_wait_for_the_workers_that_share_them(bench: Bench, dsn: str) -> None:
    await bench.apply(Log().append(snapshot("Account", 1, Internet_Eligibility__c="Home 1G")))
    other = await links.connect(dsn)

    async def waits() -> bool:
        query = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
        return bool(await bench.connection.fetchval(query))

    async with other.connection.transaction():
        await locks.take(other, [topics.ACCOUNT.name])
        anew = asyncio.create_task(rebuilt(dsn, MAPPING), name="anew")
        await eventually(waits, within=10)
    await anew
    await other.connection.close()


async def test_what_is_no_table_is_refused(capsys: pytest.CaptureFixture[str], dsn: str, file: Path) -> None:
    with pytest.raises(CommandFailed, match=r"sf_record: none of .*sf_product_shadow") as refused:
        await ran(capsys, dsn, NOWHERE, file, "sf_record")

    assert refused.value.exit_code == 2
