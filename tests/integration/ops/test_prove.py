"""`umbra prove` on a real Postgres, a real Valkey and the simulated org: what it compares, and what it costs."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from schemas import mapping, tags, versions
from schemas.events import RecordChange, Watermark
from services.gateway import entry as entries
from services.kernel import postgres
from services.kernel.settings import KafkaSettings, PostgresSettings
from services.kernel.tagcache import Miss, TagCache
from services.ops import kept, prove
from services.ops.errors import CommandFailed
from services.salesforce import canonical, changes, door
from tests.integration.ingestor import harness as ingesting
from tests.integration.projector import harness
from tests.integration.projector.harness import Bench, Log
from tests.support import salesforce_sim, stack
from tests.support.salesforce_sim import Simulator

FIELDS = mapping.load()
NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with stack.scratch("org") as state, salesforce_sim.running(state / "org") as running:
        yield running


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with harness.opened(postgres_dsn) as made:
        yield made


@pytest.fixture
def environ(sim: Simulator, postgres_dsn: str, valkey_url: str) -> dict[str, str]:
    return {**ingesting.environment(sim, NOWHERE, valkey_url), "UMBRA_POSTGRES_DSN": postgres_dsn}


def used(sim: Simulator) -> int:
    """Calls of the daily allowance, as the org counts them."""
    calls: int = sim.do("GET", "/state")["daily_api_calls"]["used"]
    return calls


def records(sim: Simulator, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sim.do("GET", f"/records/{name}")["records"]
    return [record for record in found if not record["IsDeleted"]]


def read(name: str, record: dict[str, Any]) -> RecordChange:
    """As a full read of an hour ago would have told it."""
    of = FIELDS.objects[name]
    r0_ms = int(time.time() * 1000) - 3_600_000
    return changes.snapshot(of, canonical.from_rest(of, record), r0_ms=r0_ms, origin="backfill")


async def proven(
    capsys: pytest.CaptureFixture[str], environ: dict[str, str], record_id: str
) -> tuple[int, dict[str, Any]]:
    args = argparse.Namespace(environ=environ, id=record_id, json=True, all=False)
    code = await prove.run(args)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def differing(document: dict[str, Any]) -> dict[str, str]:
    return {f"{each['place']}.{each['field']}": each["why"] for each in document["compared"] if not each["agrees"]}


async def test_equal_records_of_every_object_cost_one_call_each(
    sim: Simulator, bench: Bench, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    price = next(each for each in records(sim, "PricebookEntry") if each["IsActive"])
    product = next(each for each in records(sim, "Product2") if each["Id"] == price["Product2Id"])
    chosen = {"Product2": product, "PricebookEntry": price}
    chosen |= {name: records(sim, name)[0] for name in ("Account", "Order")}
    await bench.apply(Log().append(*(read(name, record) for name, record in chosen.items())))

    for name, record in chosen.items():
        before = used(sim)
        code, document = await proven(capsys, environ, record["Id"])

        assert (code, differing(document)) == (0, {})
        assert document["object"] == name
        assert document["cost"]["calls"] == 1
        assert used(sim) - before == 1
        assert {each["place"] for each in document["compared"]} >= {"state", "row"}


async def test_a_change_that_has_not_arrived_is_under_way(
    sim: Simulator, bench: Bench, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = records(sim, "Product2")[1]
    await bench.apply(Log().append(read("Product2", record)))
    sim.do("PATCH", f"/records/Product2/{record['Id']}", {"Name": "Renamed"})

    code, document = await proven(capsys, environ, record["Id"])

    assert code == 1
    found = differing(document)
    assert "under way" in found["state.Name"]
    assert found["row.name"] == "as the state: Name"


async def test_a_deleted_record_that_still_lives_here_differs(
    sim: Simulator, bench: Bench, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = records(sim, "Account")[-1]
    await bench.apply(Log().append(read("Account", record)))
    for order in records(sim, "Order"):
        if order["AccountId"] == record["Id"]:
            sim.do("DELETE", f"/records/Order/{order['Id']}")
    sim.do("DELETE", f"/records/Account/{record['Id']}")

    code, document = await proven(capsys, environ, record["Id"])

    assert code == 1
    assert set(differing(document)) == {"state.IsDeleted", "row.(shown)"}


async def test_a_lost_change_is_laid_to_its_hole(
    sim: Simulator, bench: Bench, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = records(sim, "Product2")[2]
    hole = Watermark(
        object="Product2", basis="hole", origin="cdc", hole_id="replay:0a:1", reason="corrupted",
        hole_to=versions.moment(int(time.time() * 1000)),
    )  # fmt: skip
    await bench.apply(Log().append(read("Product2", {**record, "Name": "Before"}), hole))
    stamped = versions.millis(datetime.fromisoformat(record["SystemModstamp"]))
    assert stamped < time.time() * 1000 - 5_000, "the margin would explain it first"

    code, document = await proven(capsys, {**environ, "UMBRA_READ_MARGIN_MS": "5000"}, record["Id"])

    assert code == 1
    assert differing(document)["state.Name"].startswith("in the open hole replay:0a:1")
    assert document["coverage"]["openHoles"] == ["replay:0a:1"]


async def test_a_kept_answer_that_is_older_than_its_row_differs(
    sim: Simulator, bench: Bench, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = records(sim, "Account")[0]
    log = Log()
    await bench.apply(log.append(read("Account", {**record, "Internet_Eligibility__c": "Before"})))
    await fill(environ, sim, record["Id"])
    young = read("Account", record)
    await bench.apply(log.append(renewed(young)))

    code, document = await proven(capsys, environ, record["Id"])

    assert code == 1
    assert document["cachedAnswers"] == 1
    found = differing(document)
    assert "caches have not been told" in found["cache.eligibility.internetEligibility"]
    assert not any(name.startswith(("state", "row")) for name in found)


def renewed(change: RecordChange) -> RecordChange:
    values = {name: getattr(change, name) for name in change.__struct_fields__}
    version = versions.read_version(int(time.time() * 1000) - 1_800_000)
    return RecordChange(**{**values, "version": version})


async def fill(environ: dict[str, str], sim: Simulator, account_id: str) -> None:
    """As a gateway does after a miss."""
    redis: Redis = Redis.from_url(environ["UMBRA_VALKEY_URL"])
    dsn = PostgresSettings(postgres_dsn=environ["UMBRA_POSTGRES_DSN"])
    async with (
        postgres.pool(dsn) as pool,
        door.opened(salesforce_sim.door_settings(sim), redis, CollectorRegistry()) as opened,
    ):
        cache = await kept.cache(
            pool=pool, redis=redis, rest=opened.rest, kafka=KafkaSettings(kafka_bootstrap=NOWHERE),
            mapping=FIELDS, mapping_file=None, pricebook="", org="",
        )  # fmt: skip
        resource = cache.personal.eligibility(account_id)
        miss = await TagCache(redis).read(resource.key, resource.tags)
        assert isinstance(miss, Miss)
        assert tags.eligibility(account_id) in resource.tags
        reading = await resource.from_shadow()
        assert await TagCache(redis).fill(miss, entries.encode(reading.entry), seconds=60, lsn=reading.lsn)
    await redis.aclose()


async def test_a_person_reads_what_differs_and_the_cost(
    sim: Simulator, bench: Bench, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = records(sim, "Product2")[3]
    await bench.apply(Log().append(read("Product2", {**record, "Name": "Before"})))

    code = await prove.run(argparse.Namespace(environ=environ, id=record["Id"], json=False, all=False))

    lines = capsys.readouterr().out.splitlines()
    assert code == 1
    assert lines[0] == f"Product2 {record['Id']}: DIFFERENT"
    assert any(line.strip().startswith('Name: "Before", should be') for line in lines)
    assert lines[-1].startswith("  cost   1 API call")


@pytest.mark.parametrize("text", ["01t", "01t000000000001AAB", "005000000000001AAA", "x" * 18])
async def test_what_is_no_id_of_a_shadowed_object_costs_nothing(environ: dict[str, str], text: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        await prove.run(argparse.Namespace(environ=environ, id=text, json=False, all=False))

    assert failed.value.exit_code == 2


async def test_a_cache_that_is_away_is_no_proof(
    sim: Simulator, bench: Bench, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    record = records(sim, "Product2")[4]
    await bench.apply(Log().append(read("Product2", record)))

    code, document = await proven(capsys, {**environ, "UMBRA_VALKEY_URL": f"redis://{NOWHERE}"}, record["Id"])

    assert code == 1
    assert document["cachedAnswers"] is None
    assert differing(document) == {}
