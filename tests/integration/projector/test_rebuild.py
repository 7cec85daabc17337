"""A rebuild on real servers: equal to live, nothing rises again, the swap mends and tells, the old one comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from schemas import topics, versions
from schemas.events import Event, Watermark
from services.projector import locks
from services.projector.project import shadow
from services.projector.rebuild import run as rebuilds
from services.projector.rebuild import start
from services.projector.rebuild.run import Outcome, Wish
from services.projector.replay.run import Means
from services.projector.replay.spans import Refused
from tests.integration.projector import harness, replaying
from tests.integration.projector.harness import (
    MAPPING,
    T0,
    Bench,
    change,
    entry,
    product,
    sf_id,
    snapshot,
    status,
)
from tests.integration.projector.process import Stage, Writer, at_rest, eventually_row, log_ends
from tests.integration.projector.replaying import FAST, project, replay
from tests.integration.projector.test_replay import WAITING, trim
from tests.support.eventually import eventually

BEGUN = versions.millis(datetime.now(UTC)) - T0 - 3_600_000
"""An hour ago, in ms after T0: the log refuses records of the future, and forgets those of long ago."""
JOB = BEGUN + 600_000
"""When the full read began. Its version is 30 s less."""
CATALOG = ("Product2", "PricebookEntry")
OFFSETS = "SELECT topic, partition, next_offset FROM projection_offset ORDER BY 1, 2"


@pytest.fixture
async def of(stage: Stage) -> AsyncIterator[Means]:
    async with replaying.means(stage) as made:
        yield made


@pytest.fixture
async def bench(stage: Stage) -> AsyncIterator[Bench]:
    async with harness.opened(stage.dsn) as made:
        await made.connection.execute(
            "UPDATE projection_offset o SET epoch = e.epoch FROM topic_epoch e WHERE o.topic = e.topic"
        )
        yield made


def full_read(name: str, *records: Event, job_id: str = "job-1", at: int = JOB) -> list[Event]:
    """What a complete full read writes: its start, what it saw, its end."""

    def mark(phase: Any, **more: Any) -> Watermark:
        return Watermark(object=name, basis="full", origin="backfill", phase=phase, job_id=job_id, **more)

    until = versions.moment(T0 + at - versions.DEFAULT_MARGIN_MS)
    return [mark("start"), *records, mark("end", covered_until=until)]


class Story:
    """Writes events with the log's times that they would have had."""

    def __init__(self, log: Writer) -> None:
        self.log = log

    async def at(self, ms: int, *said: Event) -> None:
        producer = self.log.producer
        await producer.begin_transaction()
        for event in said:
            topic = harness.topic_of(event)
            for record in harness.Log().append(event):
                await producer.send(
                    topic.name, record.value, key=record.key, partition=record.place.partition, timestamp_ms=T0 + ms
                )
        await producer.commit_transaction()


def old(name: str, ms: int) -> Watermark:
    """Something in every partition that is older than the read."""
    at = versions.moment(T0 + ms)
    return Watermark(object=name, basis="stream", origin="cdc", covered_from=at, covered_until=at, replay_id="0a")


async def catalog(story: Story) -> None:
    """Products 1 to 8 with a price each. 1 was renamed, 2 deleted before the read, 3 after it; 4 came after it."""
    await story.at(BEGUN, *(old(name, BEGUN) for name in CATALOG))
    await story.at(BEGUN + 1_000, *(product(number, f"S{number}", BEGUN + 1_000) for number in (1, 2, 3, 5, 6, 7, 8)))
    await story.at(BEGUN + 2_000, *(entry(number, of=number, at=BEGUN + 2_000) for number in range(1, 9)))
    await story.at(
        BEGUN + 3_000,
        change("update", "Product2", 1, BEGUN + 3_000, Name="Renamed"),
        change("delete", "Product2", 2, BEGUN + 3_000),
    )
    seen = [product(1, "S1", JOB, Name="Renamed"), *(product(number, f"S{number}", JOB) for number in (3, 5, 6, 7, 8))]
    await story.at(JOB, *full_read("Product2", *seen))
    await story.at(JOB, *full_read("PricebookEntry", *(entry(number, of=number, at=JOB) for number in range(1, 9))))
    await story.at(JOB + 60_000, change("delete", "Product2", 3, JOB + 60_000), product(4, "S4", JOB + 60_000))
    await story.at(JOB + 61_000, change("update", "PricebookEntry", 5, JOB + 61_000, UnitPrice="5480"))


async def rebuild(
    of: Means, table: str = "sf_product_shadow", *, stop: asyncio.Event | None = None, rate: int = FAST, **wish: Any
) -> Outcome:
    made = Wish(group=start.group_of(table), **wish)
    return await rebuilds.run(of, made, rate, lambda done, left: None, stop or asyncio.Event())


async def assert_is_pure(bench: Bench) -> None:
    assert await bench.shadow() == shadow(MAPPING, await bench.states(), await bench.statuses())


async def test_what_is_rebuilt_is_what_is_live(log: Writer, of: Means, bench: Bench) -> None:
    await catalog(Story(log))
    await project(of, bench)
    before = await bench.shadow(), await bench.states()

    outcome = await rebuild(of)

    assert outcome.state == "swapped"
    assert outcome.differences.counts == {}
    assert (await bench.shadow(), await bench.states()) == before
    assert await bench.tags() == set()


async def test_what_was_written_wrongly_is_swapped_out_told_and_can_be_brought_back(
    log: Writer, of: Means, bench: Bench
) -> None:
    await catalog(Story(log))
    await project(of, bench)
    right = await bench.shadow()
    for wrong in (
        """UPDATE sf_record SET payload = payload || '{"Name": "wrong"}' WHERE claim = 'S5'""",
        "UPDATE sf_product_shadow SET name = 'wrong' WHERE sku = 'S6'",
        "DELETE FROM sf_product_shadow WHERE sku = 'S7'",
        "INSERT INTO sf_product_shadow SELECT '01tX', 'SX', name, item_class, offering_type, plan_tier, vpn_region, "
        "updated_at, raw_payload FROM sf_product_shadow WHERE sku = 'S8'",
    ):
        await bench.connection.execute(wrong)

    compared = await rebuild(of, swap=False)
    untouched = await bench.shadow()
    swapped = await rebuild(of)
    mended = await bench.shadow()
    later = JOB + 90_000
    await log.write(change("update", "Product2", 8, later, Name="Later"))
    await log.write(change("update", "Product2", 5, later, Plan_Tier__c="Gold"))
    await project(of, bench)
    back = await rebuild(of, back=True)
    old_generation = await bench.shadow()
    forth = await rebuild(of, back=True)

    kinds = {("sf_product_shadow", "changes"): 1, ("sf_product_shadow", "comes"): 1, ("sf_product_shadow", "goes"): 1}
    assert compared.state == "compared"
    assert compared.differences.counts == swapped.differences.counts
    assert compared.differences.counts.items() >= {**kinds, ("sf_record", "changes"): 1}.items()
    assert sf_id("Product2", 7) not in untouched.products
    assert mended == right
    assert [each.columns for each in swapped.differences.samples if each.table == "sf_record"] == [["payload"]]
    assert back.state == "swapped"
    name_of = {number: old_generation.products[sf_id("Product2", number)].name for number in (1, 5, 8)}
    assert name_of == {1: "Renamed", 5: "wrong", 8: "Later"}
    assert old_generation.products[sf_id("Product2", 5)].plan_tier == "Gold"
    assert forth.state == "swapped"
    assert (await bench.shadow()).products[sf_id("Product2", 5)].name == "Product 5"
    await assert_is_pure(bench)


async def test_what_was_resurrected_by_an_old_copy_is_not_in_the_new_generation(
    log: Writer, of: Means, bench: Bench
) -> None:
    story = Story(log)
    await catalog(story)
    # A copy read long ago and written late, of a record whose deletion the log has forgotten.
    await story.at(JOB + 70_000, product(9, "S9", BEGUN + 500), entry(9, of=9, at=BEGUN + 500))
    await project(of, bench)
    risen = await bench.shadow()

    outcome = await rebuild(of)
    await replay(of, topics.PRODUCT.name)
    await replay(of, topics.PRICEBOOK_ENTRY.name)

    made = await bench.shadow()
    assert sf_id("Product2", 9) in risen.products
    assert outcome.dropped == 2
    assert sf_id("Product2", 9) not in made.products
    assert sf_id("PricebookEntry", 9) not in made.entries
    assert set(made.products) == set(risen.products) - {sf_id("Product2", 9)}
    await assert_is_pure(bench)


async def test_without_a_whole_full_read_in_the_log_it_is_refused_with_what_helps(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    story = Story(log)
    await log.write(product(1, "A"))
    await project(of, bench)
    with pytest.raises(Refused, match="no complete full read of Product2 is known"):
        await rebuild(of)

    await catalog(story)
    await project(of, bench)
    await trim(stage, topics.PRODUCT.name, 0, 1, 2, 3)
    await log.write(product(1, "B"))

    with pytest.raises(Refused, match="holds nothing older than the last complete full read of Product2"):
        await rebuild(of)
    assert await stage.value("SELECT count(*) FROM log_run") == 0


async def test_a_rebuild_that_is_stopped_goes_on_and_another_has_to_wait(log: Writer, of: Means, bench: Bench) -> None:
    await catalog(Story(log))
    await project(of, bench)
    stop = asyncio.Event()
    wish = Wish(group=start.group_of("Product2"))

    first = await rebuilds.run(of, wish, 20, lambda done, left: stop.set(), stop)
    with pytest.raises(Refused, match="a rebuild of catalog is unfinished"):
        await rebuild(of, "Account")
    second = await rebuild(of)

    assert (first.state, second.state) == ("stopped", "swapped")
    assert 0 < first.events < second.events
    assert second.differences.counts == {}


async def test_a_worker_in_the_middle_of_a_batch_is_waited_for(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    await catalog(Story(log))
    await project(of, bench)

    async with bench.connection.transaction():
        await locks.take(bench.link, {topics.PRICEBOOK_ENTRY.name})
        swapping = asyncio.create_task(rebuild(of))
        await eventually(lambda: stage.value(WAITING), within=20)
        waits = not swapping.done()

    assert waits
    assert (await swapping).state == "swapped"


async def test_statuses_that_the_log_no_longer_holds_are_carried_over(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    story = Story(log)
    orders = [
        snapshot("Order", number, BEGUN + 1_000, AccountId=sf_id("Account", 1), Status="Draft") for number in (1, 2)
    ]
    await story.at(BEGUN, old("Order", BEGUN))
    await story.at(
        BEGUN + 1_000, *orders, status(1, "Draft", BEGUN + 1_000), status(1, "Failed", BEGUN + 2_000, reason="no_port")
    )
    await project(of, bench)
    await trim(stage, topics.ORDER_STATUS.name, 0, 1, 2, 3)
    read = [snapshot("Order", number, JOB, AccountId=sf_id("Account", 1), Status="Draft") for number in (1, 2)]
    await story.at(JOB, *full_read("Order", *read), status(2, "Activated", JOB))
    await project(of, bench)
    right = await bench.shadow()
    await bench.connection.execute("UPDATE sf_order_status SET status = 'Draft' WHERE order_id = $1", sf_id("Order", 2))
    await bench.connection.execute("UPDATE sf_order_shadow SET status = 'Draft' WHERE order_id = $1", sf_id("Order", 2))

    outcome = await rebuild(of, "sf_order_shadow")

    assert outcome.state == "swapped"
    assert outcome.differences.counts == {("sf_order_status", "changes"): 1, ("sf_order_shadow", "changes"): 1}
    assert await bench.shadow() == right
    assert right.orders[sf_id("Order", 1)].status == "Failed"


async def cut_off(bench: Bench) -> None:
    """Postgres stands where the log is not."""
    await bench.connection.execute("UPDATE projection_offset SET next_offset = 9999 WHERE topic = 'sf.product2.v1'")


async def test_where_no_worker_can_go_on_a_rebuild_sets_where_they_begin(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    await catalog(Story(log))
    await project(of, bench)
    before = await bench.connection.fetch(OFFSETS)
    await log.write(change("update", "Product2", 8, JOB + 90_000, Name="Later"))
    await cut_off(bench)

    outcome = await rebuild(of)

    after = {TopicPartition(row[0], row[1]): row[2] for row in await bench.connection.fetch(OFFSETS)}
    assert outcome.state == "swapped"
    assert (await bench.shadow()).products[sf_id("Product2", 8)].name == "Later"
    assert after.items() >= (await log_ends(stage.kafka, [topics.PRODUCT.name])).items()
    assert [row for row in before if row[0] != topics.PRODUCT.name] == [
        row for row in await bench.connection.fetch(OFFSETS) if row[0] != topics.PRODUCT.name
    ]


@pytest.mark.long
async def test_a_worker_that_refused_to_start_goes_on_after_a_rebuild(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    await catalog(Story(log))
    await project(of, bench)
    await cut_off(bench)
    worker = await stage.start()
    assert await worker.ended() == 71

    await rebuild(of)

    await stage.start()
    await log.write(change("update", "Product2", 8, JOB + 90_000, Name="Later"))
    await eventually_row(stage, "SELECT name FROM sf_product_shadow WHERE sku = 'S8'", "Later", within=40)


@pytest.mark.long
async def test_beside_workers_and_readers_a_rebuild_stops_nobody(stage: Stage, log: Writer, of: Means) -> None:
    await catalog(Story(log))
    worker = await stage.start()
    names = [topic.name for topic in topics.RECORD_TOPICS.values()]
    await eventually_row(stage, "SELECT count(*) FROM sf_product_shadow", 6, within=40)
    await eventually(lambda: at_rest(stage, names), within=30)
    await stage.connection.execute("UPDATE sf_product_shadow SET name = 'wrong' WHERE sku = 'S6'")
    done, counts = asyncio.Event(), set()

    async def read_on() -> None:
        reader = await asyncpg.connect(stage.dsn)
        while not done.is_set():
            counts.add(await reader.fetchval("SELECT count(*) FROM sf_product_shadow", timeout=5))
        await reader.close()

    async def change_on() -> None:
        for number in range(20):
            at = JOB + 80_000 + number
            await log.write(*(change("update", "Product2", each, at, Name=f"N{number}") for each in (1, 7, 8)))

    others = [asyncio.create_task(read_on()), asyncio.create_task(change_on())]
    outcome = await rebuild(of, rate=500)
    await others[1]
    done.set()
    await others[0]

    assert outcome.state == "swapped"
    await eventually_row(stage, "SELECT count(*) FROM sf_product_shadow WHERE name = 'N19'", 3, within=30)
    assert await stage.value("SELECT name FROM sf_product_shadow WHERE sku = 'S6'") == "Product 6"
    assert counts == {6}
    assert worker.running.returncode is None
    await eventually_row(stage, "SELECT count(*) FROM cache_outbox", 0)
