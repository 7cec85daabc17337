"""A replay on real servers: nothing changes twice, what was written wrongly is mended, a stopped one goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from redis.asyncio import Redis

from schemas import topics
from schemas.events import Event
from services.kernel.errors import Fatal
from services.kernel.kafka import partition_of
from services.projector import locks
from services.projector.locks import GROUPS
from services.projector.replay import run as replays
from services.projector.replay.run import Means
from services.projector.replay.spans import Refused, Wish
from tests.integration.projector import harness, replaying
from tests.integration.projector.harness import Bench, change, entry, product, sf_id, snapshot, status
from tests.integration.projector.process import Stage, Writer, at_rest, eventually_row, log_ends
from tests.integration.projector.replaying import project, replay
from tests.support.eventually import eventually

PRODUCT, ENTRY, ACCOUNT, ORDER = (topic.name for topic in topics.RECORD_TOPICS.values())
STATUS = topics.ORDER_STATUS.name
TABLES = (
    *("sf_record", "sf_hidden", "sf_order_status", "sf_product_shadow", "sf_pricebook_shadow", "sf_order_shadow"),
    *("sf_account_eligibility_shadow", "projection_offset", "coverage_span", "coverage_hole", "dead_letter"),
)
WAITING = (
    "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database "
    "WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
)
WORLD: tuple[Event, ...] = (
    *(product(number, f"S{number}") for number in range(12)),
    *(entry(number, of=number) for number in range(12)),
    *(change("update", "PricebookEntry", number, 60_000, UnitPrice="5480") for number in range(6)),
    change("delete", "Product2", 3, 70_000),
    snapshot("Account", 1, Internet_Eligibility__c="Eligible"),
    snapshot("Order", 1, AccountId=sf_id("Account", 1), Status="Draft", OrderNumber="0001"),
    status(1, "Draft", 1_000, account_id=sf_id("Account", 1)),
    status(1, "Activated", 2_000, reason="done"),
    status(1, "Completed", 3_000),
)


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


async def everything(connection: Any) -> list[Any]:
    """Every row that a projection makes, with the times at which they were written."""
    return [
        [tuple(row) for row in await connection.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")]  # noqa: S608
        for table in TABLES
    ]


async def trim(stage: Stage, topic: str, *partitions: int) -> None:
    """Retention passes all that some partitions hold now."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.kafka)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(topic, p): RecordsToDelete(-1) for p in partitions})
    finally:
        await admin.close()


@pytest.mark.parametrize("repair", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_a_replay_of_everything_changes_tells_and_writes_nothing(
    stage: Stage, log: Writer, of: Means, bench: Bench, repair: bool
) -> None:
    await log.write(*WORLD)
    await log.producer.begin_transaction()
    await log.producer.send(PRODUCT, b"no json", key=b"k", partition=0)
    await log.producer.commit_transaction()
    await project(of, bench)
    before, ends = await everything(bench.connection), await log_ends(stage.kafka, [*GROUPS, topics.DEAD_LETTER.name])
    async with Redis.from_url(stage.valkey) as client, client.pubsub() as told:
        await told.subscribe("umbra:told")
        await told.get_message(timeout=5)
        outcomes = [await replay(of, topic, beginning=True, repair=repair) for topic in GROUPS]
        assert await told.get_message(ignore_subscribe_messages=True, timeout=0.2) is None

    assert await everything(bench.connection) == before
    assert await log_ends(stage.kafka, [*GROUPS, topics.DEAD_LETTER.name]) == ends
    assert all(each.done for each in outcomes)
    assert sum(each.events for each in outcomes) == len(WORLD) + 1
    assert sum(each.letters for each in outcomes) == 1
    assert await bench.tags() == set()


async def test_what_was_written_wrongly_is_mended_by_a_repair_and_told(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    await log.write(*WORLD)
    await project(of, bench)
    right = await bench.shadow()
    for wrong in (
        "UPDATE sf_product_shadow SET name = 'wrong' WHERE sku = 'S1'",
        """UPDATE sf_record SET payload = payload || '{"Name": "wrong"}' WHERE claim = 'S2'""",
        "UPDATE sf_record SET claim = 'nothing' WHERE claim = 'S4'",
        "UPDATE sf_order_shadow SET status_reason = 'wrong'",
        "UPDATE sf_order_status SET terminal = false, message = 'wrong'",
    ):
        await bench.connection.execute(wrong)

    await replay(of, PRODUCT)
    still = (await bench.shadow()).products[sf_id("Product2", 1)].name
    async with Redis.from_url(stage.valkey) as client, client.pubsub() as told:
        await told.subscribe("umbra:told")
        await told.get_message(timeout=5)
        for topic in (PRODUCT, STATUS):
            await replay(of, topic, beginning=True, repair=True)
        heard: set[str] = set()
        while message := await told.get_message(ignore_subscribe_messages=True, timeout=0.5):
            heard |= set(json.loads(message["data"]))

    assert still == "wrong"
    assert await bench.shadow() == right
    assert tuple(await bench.connection.fetchrow("SELECT terminal, message FROM sf_order_status")) != (False, "wrong")
    assert await stage.value("SELECT count(*) FROM sf_record WHERE claim = 'S4'") == 1
    assert {"catalog:sku:S1", f"order:{sf_id('Order', 1)}"} <= heard
    assert not {"catalog:sku:S2", "catalog:sku:S5"} & heard
    assert await bench.tags() == set()


async def test_a_replay_that_is_stopped_goes_on_where_it_was(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    await log.write(*(product(number, f"S{number}") for number in range(120)))
    await project(of, bench)
    stop, seen = asyncio.Event(), []
    wish = Wish(topic=PRODUCT, beginning=True)

    def watch(done: int, left: int) -> None:
        seen.append(done)
        if done >= 20:
            stop.set()

    first = await replays.run(of, wish, 100, watch, stop)
    planned = await replays.planned(of, wish, 100)
    second = await replays.run(of, wish, replaying.FAST, watch, asyncio.Event())

    assert not first.done
    assert first.left > 0
    assert planned.goes_on
    assert planned.events == first.left
    assert second.done
    assert second.events == 120
    assert await stage.value("SELECT count(*) FROM log_run WHERE state = 'done'") == 1


async def test_a_replay_of_one_record_touches_no_other(stage: Stage, log: Writer, of: Means, bench: Bench) -> None:
    await log.write(*(product(number, f"S{number}") for number in range(20)))
    await project(of, bench)
    await bench.connection.execute("UPDATE sf_product_shadow SET name = 'wrong'")

    outcome = await replay(of, PRODUCT, key=sf_id("Product2", 7), repair=True)

    assert outcome.events == 1
    assert await stage.value("SELECT count(*) FROM sf_product_shadow WHERE name = 'wrong'") == 19


async def test_a_worker_that_shares_the_lock_of_accounts_is_waited_for(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    await log.write(snapshot("Account", 1))
    await project(of, bench)

    async with bench.connection.transaction():
        await locks.take(bench.link, {ACCOUNT})
        replaying_it = asyncio.create_task(replay(of, ACCOUNT))
        await eventually(lambda: stage.value(WAITING), within=20)
        waits = not replaying_it.done()

    assert waits
    assert (await replaying_it).done


async def test_it_never_passes_the_workers(stage: Stage, log: Writer, of: Means, bench: Bench) -> None:
    await log.write(product(1, "A"))
    await project(of, bench)
    await log.write(product(2, "B"))

    outcome = await replay(of, PRODUCT)

    assert outcome.events == 1
    assert await stage.value("SELECT count(*) FROM sf_product_shadow") == 1


async def test_what_the_log_no_longer_holds_is_refused_with_what_helps(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    await log.write(product(1, "A"))
    await project(of, bench)
    partition = partition_of(sf_id("Product2", 1), 4)
    await trim(stage, PRODUCT, partition)
    start = (await log_ends(stage.kafka, [PRODUCT]))[TopicPartition(PRODUCT, partition)]

    with pytest.raises(Refused, match=rf"0 is gone, the log begins at {start}. `--from-offset {partition}:{start}`"):
        await replay(of, PRODUCT, offsets={partition: 0})
    with pytest.raises(Refused, match="--from-beginning"):
        await replay(of, PRODUCT, since_ms=1)
    assert (await replay(of, PRODUCT, beginning=True)).events == 0


async def test_a_record_that_postgres_refuses_stands_alone_and_is_one_letter(
    stage: Stage, log: Writer, of: Means, bench: Bench
) -> None:
    await log.write(*(product(number, f"S{number}") for number in range(20)), product(99, "NUL\x00"))
    for partition, end in (await log_ends(stage.kafka, [PRODUCT])).items():
        await bench.connection.execute(
            "UPDATE projection_offset SET next_offset = $3 WHERE topic = $1 AND partition = $2", *partition, end
        )

    first, second = await replay(of, PRODUCT), await replay(of, PRODUCT)

    assert (first.letters, first.changed, second.letters, second.changed) == (1, 20, 1, 0)
    assert (await log_ends(stage.kafka, [topics.DEAD_LETTER.name])).popitem()[1] == 1
    assert await stage.value("SELECT string_agg(stage, ',') FROM dead_letter") == "apply"
    assert await stage.value("SELECT count(*) FROM sf_product_shadow") == 20


async def test_past_the_limit_of_dead_letters_a_replay_stops(stage: Stage, log: Writer, bench: Bench) -> None:
    await log.producer.begin_transaction()
    for _ in range(3):
        await log.producer.send(PRODUCT, b"no json", key=b"k", partition=0)
    await log.producer.commit_transaction()
    async with replaying.means(stage) as of:
        await project(of, bench)
    await bench.connection.execute("DELETE FROM dead_letter")

    async with replaying.means(stage, limit=2) as strict:
        with pytest.raises(Fatal, match="the limit is 2"):
            await replay(strict, PRODUCT)

    assert await stage.value("SELECT count(*) FROM dead_letter") == 0


async def test_beside_two_workers_a_replay_disturbs_nothing_and_is_not_disturbed(
    stage: Stage, log: Writer, of: Means
) -> None:
    workers = [await stage.start() for _ in range(2)]
    await log.write(*WORLD)
    await eventually_row(stage, "SELECT status FROM sf_order_shadow", "Completed", within=40)
    await eventually(lambda: at_rest(stage, list(GROUPS)), within=30)

    async def change_on() -> None:
        for number in range(5):
            await log.write(
                *(change("update", "Product2", each, 80_000 + number, Name=f"N{number}") for each in range(12))
            )

    changing = asyncio.create_task(change_on())
    outcomes = await asyncio.gather(*(replay(of, topic, rate=100) for topic in GROUPS))
    await changing

    names = "SELECT count(*) FROM sf_product_shadow WHERE name = 'N4'"
    await eventually_row(stage, names, 12, within=30)
    await eventually(lambda: at_rest(stage, list(GROUPS)), within=30)
    assert all(each.done for each in outcomes)
    assert sum(each.changed for each in outcomes) == 0
    assert [each.running.returncode for each in workers] == [None, None]
    await eventually_row(stage, "SELECT count(*) FROM cache_outbox", 0)
