"""`umbra cache` on a real Valkey and a real Postgres: what is voided, and which kept answers are found stale."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from schemas import mapping, versions
from schemas.events import Watermark
from services.gateway import entry as entries
from services.gateway.resources import Resource
from services.kernel import postgres
from services.kernel.settings import PostgresSettings
from services.kernel.tagcache import Hit, Miss, TagCache
from services.ops import __main__ as umbra
from services.ops import cached
from services.ops.cached import Kept
from services.projector.log import Place
from tests.integration.projector import harness
from tests.integration.projector.harness import T0, Bench, Log, change, entry, product, sf_id, snapshot

ACCOUNT, ORDER = sf_id("Account", 1), sf_id("Order", 1)
KEPT = (
    "product INT-1",
    "prices INT-1",
    "product SIM-1",
    "products",
    "Internet",
    "SIM",
    "plans",
    "eligibility",
    "order",
)


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    """With two products, an account and its order, covered up to a minute after the last change."""
    async with harness.opened(postgres_dsn) as made:
        covered = [
            Watermark(object=name, basis=basis, origin="cdc", covered_until=versions.moment(T0) + timedelta(minutes=1))
            for name in ("Product2", "PricebookEntry", "Account", "Order")
            for basis in ("full", "stream")
        ]
        await made.apply(
            Log().append(
                product(1, "INT-1", Item_Class__c="Internet", Offering_Type__c="Home 1G"),
                product(2, "SIM-1", Item_Class__c="SIM"),
                entry(1, of=1),
                snapshot("Account", 1, Internet_Eligibility__c="Home 1G"),
                snapshot("Order", 1, AccountId=ACCOUNT, Status="Draft"),
                *covered,
            )
        )
        await made.clear_outbox()
        yield made


@pytest.fixture
async def kept(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Kept]:
    redis = Redis.from_url(valkey_url)
    async with postgres.pool(PostgresSettings(postgres_dsn=postgres_dsn)) as pool:
        yield cached.kept(pool, TagCache(redis), mapping.load(), None)
    await redis.aclose()


@pytest.fixture
def environ(postgres_dsn: str, valkey_url: str) -> dict[str, str]:
    return {"UMBRA_POSTGRES_DSN": postgres_dsn, "UMBRA_VALKEY_URL": valkey_url}


def named(kept: Kept) -> dict[str, Resource]:
    catalog, personal = kept.catalog, kept.personal
    made = (
        catalog.product("INT-1", None),
        catalog.prices("INT-1", None),
        catalog.product("SIM-1", None),
        catalog.products(None, None),
        catalog.products("Internet", None),
        catalog.products("SIM", None),
        catalog.internet_plans(frozenset({"Home 1G"}), None),
        personal.eligibility(ACCOUNT),
        personal.order(ORDER),
    )
    return dict(zip(KEPT, made, strict=True))


async def keep(kept: Kept, resource: Resource, answer: entries.Entry | None = None) -> None:
    """As a gateway does after a read."""
    miss = await kept.cache.read(resource.key, resource.tags)
    assert isinstance(miss, Miss)
    reading = await resource.from_shadow()
    assert await kept.cache.fill(miss, entries.encode(answer or reading.entry), seconds=60, lsn=reading.lsn)


async def keep_all(kept: Kept) -> dict[str, Resource]:
    made = named(kept)
    for each in made.values():
        await keep(kept, each)
    return made


async def valid(kept: Kept, made: dict[str, Resource]) -> set[str]:
    return {name for name, each in made.items() if await kept.cache.peek(each.key, each.tags) is not None}


async def ran(capsys: pytest.CaptureFixture[str], environ: dict[str, str], *words: str) -> tuple[int, dict[str, Any]]:
    code = await asyncio.to_thread(umbra.main, ["cache", *words, "--json"], environ)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


# clear


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--all"], set()),
        (["--catalog"], {"eligibility", "order"}),
        (["--eligibility"], set(KEPT) - {"eligibility"}),
        (["--sku", "INT-1"], {"product SIM-1", "SIM", "eligibility", "order"}),
        (["--account", ACCOUNT[:15]], set(KEPT) - {"eligibility", "order"}),
        (["--sku", "UNKNOWN"], {"product INT-1", "prices INT-1", "product SIM-1", "eligibility", "order"}),
    ],
)
async def test_only_what_was_asked_for_is_void(
    bench: Bench,
    kept: Kept,
    environ: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    left: set[str],
) -> None:
    made = await keep_all(kept)

    code, plan = await ran(capsys, environ, "clear", *words)
    untouched = await valid(kept, made)
    done, _ = await ran(capsys, environ, "clear", *words, "--execute")

    assert (code, done) == (0, 0)
    assert untouched == set(KEPT)
    assert plan["plan"]
    assert await valid(kept, made) == left


# verify


async def test_answers_that_say_what_the_rows_say_agree(
    bench: Bench, kept: Kept, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = await keep_all(kept)

    code, document = await ran(capsys, environ, "verify")

    assert (code, document["states"]) == (0, {"equal": len(KEPT)})
    assert await valid(kept, made) == set(KEPT)


async def test_answers_that_nobody_voided_are_stale_by_key(
    bench: Bench, kept: Kept, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = await keep_all(kept)
    await bench.connection.execute("UPDATE sf_pricebook_shadow SET unit_price = 1")
    await bench.connection.execute(
        """UPDATE sf_account_eligibility_shadow SET raw_payload = raw_payload || '{"Internet_Eligibility__c": "X"}'"""
    )

    code, document = await ran(capsys, environ, "verify")

    assert code == 1
    stale = {each["key"]: each["why"] for each in document["stale"]}
    assert stale.keys() == {
        made[name].key for name in ("product INT-1", "prices INT-1", "products", "Internet", "plans", "eligibility")
    }
    assert stale[made["prices INT-1"].key] == "unitPrice"
    assert stale[made["eligibility"].key] == "internetEligibility"


async def test_a_change_whose_tags_wait_is_under_way_and_then_void(
    bench: Bench, kept: Kept, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await keep_all(kept)
    rows = await bench.connection.fetch("SELECT topic, partition, next_offset FROM projection_offset")
    log = Log(ends={Place(row[0], row[1]): row[2] for row in rows})
    await bench.apply(log.append(change("update", "Account", 1, 70_000, Internet_Eligibility__c="Home 10G")))

    code, document = await ran(capsys, environ, "verify")
    await kept.cache.invalidate(await bench.tags(), "0/0")
    again, after = await ran(capsys, environ, "verify")

    assert (code, document["states"]) == (0, {"equal": len(KEPT) - 1, "under way": 1})
    assert (again, after["states"]) == (0, {"equal": len(KEPT) - 1, "void": 1})


async def test_tags_that_wait_too_long_make_a_stale_answer(
    bench: Bench, kept: Kept, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = named(kept)["order"]
    await keep(kept, made)
    await bench.connection.execute("UPDATE sf_order_shadow SET status = 'Activated'")
    await bench.connection.execute(
        "INSERT INTO cache_outbox (topic, partition, next_offset, tags, created_at) "
        "VALUES ('sf.order.v1', 0, 1, $1, now() - interval '1 hour')",
        list(made.tags),
    )

    code, document = await ran(capsys, environ, "verify")

    assert code == 1
    assert "its tags have waited for 36" in document["stale"][0]["why"]


async def test_a_live_answer_is_ahead_of_the_rows_and_its_times_are_no_content(
    bench: Bench, kept: Kept, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = named(kept)
    reading = await made["eligibility"].from_shadow()
    newer = reading.entry.body.replace(b"Home 1G", b"Home 10G")
    await keep(kept, made["eligibility"], entries.entry(newer, as_of_ms=T0 + 120_000, read_ms=T0))
    order = (await made["order"].from_shadow()).entry
    timed = order.body.replace(b'"updatedAt":"20', b'"updatedAt":"21')
    await keep(kept, made["order"], entries.entry(timed, as_of_ms=T0, read_ms=T0))

    code, document = await ran(capsys, environ, "verify")

    assert timed != order.body
    assert (code, document["states"]) == (0, {"ahead": 1, "equal": 1})


async def test_a_sample_looks_at_so_many_and_answers_of_another_mapping_are_left_alone(
    bench: Bench, kept: Kept, environ: dict[str, str], capsys: pytest.CaptureFixture[str], valkey_url: str
) -> None:
    await keep_all(kept)
    redis = Redis.from_url(valkey_url)
    await redis.hset("e:{catalog}:deadbeef:*:product:INT-1", mapping={"n": "x", "d": b"y"})
    await redis.aclose()

    _, some = await ran(capsys, environ, "verify", "--sample", "3")
    _, whole = await ran(capsys, environ, "verify")

    assert (some["looked_at"], some["kept"]) == (3, len(KEPT) + 1)
    assert whole["states"] == {"equal": len(KEPT), "other": 1}


async def test_looking_makes_no_nonce_and_takes_no_lease(kept: Kept, valkey_url: str) -> None:
    resource = named(kept)["order"]
    redis = Redis.from_url(valkey_url)

    found = await kept.cache.peek(resource.key, resource.tags)
    keys = await redis.keys("*")
    miss = await kept.cache.read(resource.key, resource.tags)
    assert isinstance(miss, Miss)
    await kept.cache.fill(miss, b"x", seconds=60)
    hit = await kept.cache.peek(resource.key, resource.tags)

    await redis.aclose()
    assert (found, keys) == (None, [])
    assert hit == Hit(b"x", miss.nonces)
