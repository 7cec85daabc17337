"""`umbra explain` on a real log and a real Postgres: what wrote each field, and why a record is as it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas import topics
from schemas.events import Event, Watermark
from services.kernel import kafka
from services.kernel.settings import KafkaSettings
from services.ops import __main__ as umbra
from services.projector.log import LogRecord, Place
from tests.integration.projector import harness
from tests.integration.projector.harness import Bench, change, entry, product, sf_id, snapshot, status
from tests.integration.projector.process import Writer, writer
from tests.support import stack

PRODUCT, ORDER = sf_id("Product2", 1), sf_id("Order", 1)
NOWHERE = "127.0.0.1:1"


class Told:
    """Writes events to the log and applies all of it, as a worker would."""

    def __init__(self, log: Writer, bench: Bench, bootstrap: str) -> None:
        self.log, self.bench, self.bootstrap = log, bench, bootstrap

    async def write(self, *said: Event, apply: bool = True, abort: bool = False) -> None:
        await self.log.write(*said, abort=abort)
        if apply:
            await self.bench.apply(await self.records())

    async def records(self) -> list[LogRecord]:
        wanted = [
            each
            for topic in (*topics.RECORD_TOPICS.values(), topics.ORDER_STATUS)
            for each in kafka.partitions_of(topic.name, topic.partitions)
        ]
        consumer = kafka.consumer(KafkaSettings(kafka_bootstrap=self.bootstrap))
        await consumer.start()
        try:
            consumer.assign(wanted)
            for each in wanted:
                consumer.seek(each, 0)
            ends = await consumer.end_offsets(wanted)
            found: list[LogRecord] = []
            while [each for each in wanted if await consumer.position(each) < ends[each]]:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    found += [self._record(each) for each in batch]
        finally:
            await consumer.stop()
        return found

    @staticmethod
    def _record(each: Any) -> LogRecord:
        return LogRecord(Place(each.topic, each.partition), each.offset, 0, each.timestamp, each.key, each.value)


@pytest.fixture
async def told(kafka_bootstrap: str, postgres_dsn: str) -> AsyncIterator[Told]:
    async with harness.opened(postgres_dsn) as bench, writer(kafka_bootstrap) as log:
        await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
        epochs = "UPDATE projection_offset o SET epoch = e.epoch FROM topic_epoch e WHERE e.topic = o.topic"
        await bench.connection.execute(epochs)
        yield Told(log, bench, kafka_bootstrap)


@pytest.fixture
def environ(kafka_bootstrap: str, postgres_dsn: str) -> dict[str, str]:
    return {"UMBRA_KAFKA_BOOTSTRAP": kafka_bootstrap, "UMBRA_POSTGRES_DSN": postgres_dsn}


async def explained(
    capsys: pytest.CaptureFixture[str], environ: dict[str, str], *words: str
) -> tuple[int, dict[str, Any]]:
    code = await asyncio.to_thread(umbra.main, ["explain", *words, "--json"], environ)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def events(document: dict[str, Any], nth: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["log"][nth]["events"]
    return found


async def test_each_field_names_the_event_that_wrote_it(
    told: Told, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await told.write(product(1, "INT-1", Item_Class__c="Internet"), product(2, "INT-2"))
    await told.write(change("update", "Product2", 1, 60_000, Name="Lost"), abort=True)
    await told.write(change("update", "Product2", 1, 70_000, Name="Renamed"))
    await told.write(change("update", "Product2", 1, 40_000, Name="Late", Plan_Tier__c="Gold"))
    await told.write(change("update", "Product2", 1, 90_000, Name="Newest"), apply=False)

    code, document = await explained(capsys, environ, PRODUCT)

    said = events(document)
    place = f"sf.product2.v1:{document['log'][0]['partition']}"
    fields = {each["name"]: each for each in document["fields"]}
    assert code == 0
    assert [each["kind"] for each in said] == ["snapshot (backfill)", *["update (cdc)"] * 3]
    assert fields["Name"]["value"] == "Renamed"
    assert fields["Name"]["by"] == [f"{place}:{said[1]['offset']}"]
    assert fields["StockKeepingUnit"]["by"] == [f"{place}:{said[0]['offset']}"]
    assert fields["IsDeleted"]["by"] == [f"{place}:{said[1]['offset']}"]
    assert fields["Plan_Tier__c"]["meaning"].startswith("commit 1 at 2026-")
    assert fields["StockKeepingUnit"]["meaning"].startswith("a read that began at 2026-")
    assert [each["fate"] for each in said] == [
        "applied, 2 of its 5 fields are superseded",
        "applied",
        "applied, 2 of its 3 fields are superseded",
        "not applied yet",
    ]
    assert document["row"]["name"] == "Renamed"
    assert [each["tag"] for each in document["tags"]] == [
        "catalog:list:*",
        "catalog:list:Internet",
        "catalog:sku:INT-1",
    ]
    assert all(each["untold_seconds"] >= 0 for each in document["tags"])


async def test_what_is_not_shown_says_why(
    told: Told, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await told.write(product(1, "A"), product(2, "A"), entry(1, of=2), change("update", "Account", 1, Score__c="1"))
    await told.write(change("delete", "Account", 1, 60_000))

    found = {}
    for record in (sf_id("Product2", 2), sf_id("PricebookEntry", 1), sf_id("Account", 1)):
        code, found[record[:3]] = await explained(capsys, environ, record)
        assert code == 0
    nothing, unknown = await explained(capsys, environ, sf_id("Order", 77))

    assert found["01t"]["hidden"] == {"reason": "sku_taken", "detail": PRODUCT}
    assert found["01t"]["why"].startswith(f"kept and not shown: sku_taken ({PRODUCT}): another product has its SKU")
    assert found["01u"]["hidden"] == {"reason": "product_hidden", "detail": sf_id("Product2", 2)}
    assert found["01u"]["tags"] == []
    assert found["001"]["why"] == "deleted"
    assert (nothing, unknown["known"]) == (1, False)


async def test_a_dirty_record_says_which_read_settles_it(
    told: Told, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await told.write(product(1, "A"), change("dirty", "Product2", 1, 60_000))
    _, dirty = await explained(capsys, environ, PRODUCT)
    await told.write(snapshot("Product2", 1, 92_000, StockKeepingUnit="A", Name="Healed"))
    _, healed = await explained(capsys, environ, PRODUCT)

    assert dirty["dirty"].startswith("something changed at 2026-11-02T")
    assert events(dirty)[1]["fate"] == "the mark"
    assert healed["dirty"] is None


async def test_an_order_shows_its_statuses_too(
    told: Told, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await told.write(snapshot("Order", 1, AccountId=sf_id("Account", 1), Status="Draft"))
    await told.write(status(1, "Activating", 1000, "ADDRESS_CHECK"), status(1, "Draft", 500))

    _, document = await explained(capsys, environ, ORDER)

    assert [(each["fields"], each["fate"]) for each in events(document, 1)] == [
        (["Activating", "ADDRESS_CHECK"], "shown"),
        (["Draft"], "applied, and a newer one is shown"),
    ]
    assert {each["tag"] for each in document["tags"]} == {f"order:{ORDER}", f"order:list:{sf_id('Account', 1)}"}


async def test_a_trace_says_what_an_answer_holds_and_leads_to_its_record(
    told: Told, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    mark = Watermark(object="Product2", basis="stream", origin="cdc", covered_until=datetime(2026, 11, 2, tzinfo=UTC))
    await told.write(product(1, "A"))
    await told.write(change("update", "Product2", 1, 60_000, Name="Newer"))
    await told.write(mark)
    _, whole = await explained(capsys, environ, PRODUCT)
    partition, (first, second) = whole["log"][0]["partition"], events(whole)
    trace = f"sf.product2.v1:{partition}:{first['offset']}"
    between = f"sf.product2.v1:{partition}:{first['offset'] + 1}"

    _, beside = await explained(capsys, environ, PRODUCT[:15], trace)
    _, alone = await explained(capsys, environ, f"sf.product2.v1:{partition}:{second['offset']}")
    marker, refused = await explained(capsys, environ, between)
    code, marked = await explained(capsys, environ, f"sf.product2.v1:{partition}:{second['offset'] + 2}")

    assert [each["in_answer"] for each in events(beside)] == [True, False]
    assert (alone["id"], [each["in_answer"] for each in events(alone)]) == (PRODUCT, [True, True])
    assert (marker, "marker" in refused["error"]) == (1, True)
    assert (code, marked["watermark"]["basis"]) == (0, "stream")


async def test_only_the_newest_events_are_kept_and_only_those_since_a_time_are_read(
    told: Told, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for step in range(5):
        await told.write(change("update", "Product2", 1, step * 1000, Name=f"Name {step}"))

    _, newest = await explained(capsys, environ, PRODUCT, "--limit", "2")
    _, recent = await explained(capsys, environ, PRODUCT, "--since", "1h")
    _, later = await explained(capsys, environ, PRODUCT, "--since", "2100-01-01T00:00:00Z")

    assert (len(events(newest)), newest["log"][0]["older_events"], newest["log"][0]["records"]) == (2, 3, 5)
    assert len(events(recent)) == 5
    assert (events(later), later["log"][0]["records"]) == ([], 0)
    assert [each["by"] for each in later["fields"]] == [[], []]


async def test_with_the_log_away_it_says_what_postgres_knows(
    told: Told, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await told.bench.apply(harness.Log().append(product(1, "A")))

    code = await asyncio.to_thread(umbra.main, ["explain", PRODUCT], {**environ, "UMBRA_KAFKA_BOOTSTRAP": NOWHERE})

    text = capsys.readouterr().out
    assert code == 0
    assert f"Product2 {PRODUCT}: shown" in text
    assert "not read: Kafka does not answer" in text
    assert 'field   Name = "Product 1": a read that began at' in text


@pytest.mark.parametrize("what", ["00Q000000000001AAA", "nonsense", "sf.lead.v1:0:1", "sf.product2.v1:99:1"])
async def test_what_is_no_record_and_no_trace_is_refused(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], what: str
) -> None:
    code, document = await explained(capsys, environ, what)

    assert (code, document["ok"]) == (2, False)
