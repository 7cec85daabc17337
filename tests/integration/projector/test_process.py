"""The whole projector as a process: from the log to the rows, on transactional topics, through every way of ending."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from schemas import events, topics
from schemas.events import RecordChange
from tests.integration.projector.harness import change, entry, product, sf_id
from tests.integration.projector.process import Process, Stage, Writer, at_rest, eventually_row
from tests.support import stack
from tests.support.eventually import eventually

PRICE = "SELECT unit_price::text FROM sf_pricebook_shadow WHERE pricebook_entry_id = $1"
SKU = "SELECT sku FROM sf_product_shadow WHERE product_id = $1"
PRODUCTS = "SELECT count(*) FROM sf_product_shadow"
CATALOG = (topics.PRODUCT.name, topics.PRICEBOOK_ENTRY.name)


def renamed(number: int, sku: str, at: int = 60_000) -> RecordChange:
    return change("update", "Product2", number, at, StockKeepingUnit=sku)


async def rests(stage: Stage) -> None:
    await eventually(lambda: at_rest(stage, CATALOG), within=20)


# From the log to the rows


async def test_a_snapshot_and_an_update_become_rows(stage: Stage, log: Writer) -> None:
    await log.write(product(1, "INT-1"), entry(1, of=1, price="4980"))
    await stage.start()
    await eventually_row(stage, PRICE, "4980.00", sf_id("PricebookEntry", 1))

    await log.write(change("update", "PricebookEntry", 1, 60_000, UnitPrice="5480"))

    await eventually_row(stage, PRICE, "5480.00", sf_id("PricebookEntry", 1))


async def test_what_a_transaction_took_back_never_becomes_a_row(stage: Stage, log: Writer) -> None:
    await stage.start()
    await log.write(product(1, "INT-1"))
    for round_ in range(5):
        await log.write(renamed(1, "WRONG", at=70_000), product(100 + round_, "WRONG"), abort=True)

    await log.write(renamed(1, "INT-2"))

    await eventually_row(stage, SKU, "INT-2", sf_id("Product2", 1))
    assert await stage.value(PRODUCTS) == 1


async def test_at_rest_nothing_lags_on_a_transactional_topic(stage: Stage, log: Writer) -> None:
    await stage.start()
    for number in range(20):
        await log.write(product(number, f"S{number}"), entry(number, of=number), abort=number % 3 == 0)

    await rests(stage)

    assert await stage.value(PRODUCTS) == 13


async def test_it_goes_on_where_the_offset_points_at_a_marker(stage: Stage, log: Writer) -> None:
    await log.write(product(1, "A"))
    first = await stage.start()
    await eventually_row(stage, SKU, "A", sf_id("Product2", 1))
    first.kill()
    await first.ended()
    await log.write(renamed(1, "WRONG", at=90_000), abort=True)
    await log.write(renamed(1, "B"))

    second = await stage.start()

    await eventually_row(stage, SKU, "B", sf_id("Product2", 1))
    await rests(stage)
    assert second.running.returncode is None


async def test_postgres_says_where_to_read_from_not_kafka(stage: Stage, log: Writer) -> None:
    await projected(stage, log)
    await stage.connection.execute("TRUNCATE sf_record, sf_product_shadow CASCADE")
    await stage.connection.execute("UPDATE projection_offset SET next_offset = 0, last_offset = NULL")

    await stage.start()

    await eventually_row(stage, SKU, "A", sf_id("Product2", 1))
    await rests(stage)


async def test_caches_are_told_and_the_outbox_is_emptied(stage: Stage, log: Writer) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(stage.valkey) as client, client.pubsub() as told:
        await told.subscribe("umbra:told")
        await stage.start()

        await log.write(product(1, "INT-1"))

        heard: set[str] = set()
        async with asyncio.timeout(20):
            while "catalog:sku:INT-1" not in heard:
                message = await told.get_message(ignore_subscribe_messages=True, timeout=1)
                if message is not None:
                    heard |= set(json.loads(message["data"]))
    await eventually_row(stage, "SELECT count(*) FROM cache_outbox", 0)


# Ending


async def test_asked_to_stop_it_drains_and_exits_with_0(stage: Stage, log: Writer) -> None:
    process = await stage.start()
    await log.write(product(0, "S0"))
    await eventually_row(stage, PRODUCTS, 1)
    await log.write(*(product(number, f"S{number}") for number in range(3000)))

    process.terminate()

    assert await process.ended(within=10) == 0
    await stage.start()
    await eventually_row(stage, PRODUCTS, 3000)
    await rests(stage)


async def test_asked_to_stop_before_its_first_partition_it_exits_with_0(stage: Stage) -> None:
    process = await stage.start()
    await eventually(lambda: process.said("admin"))

    process.terminate()

    assert await process.ended(within=15) == 0


async def test_what_nobody_expected_ends_the_process(stage: Stage, log: Writer) -> None:
    await log.write(product(1, "A"))

    process = await stage.start(module="tests.integration.projector.ill", UMBRA_TEST_ILL="error:1")

    assert await process.ended() == 1
    await stage.start()
    await eventually_row(stage, SKU, "A", sf_id("Product2", 1))


@pytest.mark.parametrize("point", ["before-commit", "after-commit"])
async def test_killed_around_its_commit_it_repeats_nothing_and_loses_nothing(
    stage: Stage, log: Writer, point: str
) -> None:
    process = await stage.start(module="tests.integration.projector.ill", UMBRA_TEST_ILL=f"{point}:2")
    await log.write(product(1, "A"), entry(1, of=1))
    await eventually_row(stage, SKU, "A", sf_id("Product2", 1))
    await rests(stage)
    await log.write(renamed(1, "B"), product(2, "A"))
    assert await process.ended() == -signal.SIGKILL
    left = await stage.value("SELECT count(*) FROM cache_outbox")

    await stage.start()

    await eventually_row(stage, SKU, "B", sf_id("Product2", 1))
    await eventually_row(stage, SKU, "A", sf_id("Product2", 2))
    await eventually_row(stage, "SELECT count(*) FROM cache_outbox", 0)
    await rests(stage)
    assert (left > 0) == (point == "after-commit")


async def test_a_batch_lost_inside_the_process_is_noticed_and_read_again(stage: Stage, log: Writer) -> None:
    process = await stage.start(module="tests.integration.projector.ill", UMBRA_TEST_ILL="swallow:2")
    await log.write(product(1, "A"))
    await eventually_row(stage, SKU, "A", sf_id("Product2", 1))
    await log.write(renamed(1, "B"))
    await asyncio.sleep(0.5)  # the batch that is swallowed leaves no trace to wait for
    await log.write(change("update", "Product2", 1, 70_000, Name="Named"))

    assert await process.ended() == 1
    assert "lost inside this process" in process.text()
    await stage.start()
    await eventually_row(stage, "SELECT sku || name FROM sf_product_shadow", "BNamed")


async def test_several_workers_share_the_work_through_kills(stage: Stage, log: Writer) -> None:
    workers = [await stage.start() for _ in range(2)]
    for number in range(30):
        await log.write(product(number, f"S{number}"), entry(number, of=number))
    workers[0].kill()
    await log.write(*(renamed(number, f"T{number}") for number in range(30)))
    await stage.start()
    workers[1].terminate()
    await log.write(*(renamed(number, f"U{number}", 70_000) for number in range(30)))

    await eventually_row(stage, "SELECT count(*) FROM sf_product_shadow WHERE sku LIKE 'U%'", 30, within=40)
    await eventually_row(stage, "SELECT count(*) FROM sf_pricebook_shadow", 30)
    await rests(stage)


# The start guard


async def projected(stage: Stage, log: Writer) -> None:
    """A worker has applied something and is gone."""
    await log.write(product(1, "A"))
    process = await stage.start()
    await eventually_row(stage, SKU, "A", sf_id("Product2", 1))
    await rests(stage)
    process.terminate()
    assert await process.ended() == 0


async def refuses(stage: Stage, process: Process, why: str) -> None:
    assert await process.ended() == 71
    assert why in process.text()
    assert "umbra rebuild" in process.text()
    assert await stage.value(SKU, sf_id("Product2", 1)) == "A"


async def test_a_topic_created_anew_is_refused(stage: Stage, log: Writer) -> None:
    await projected(stage, log)
    await stack.fresh_topics(stage.kafka, stage.dsn)

    await refuses(stage, await stage.start(), "created anew")


async def recreate_by_hand(stage: Stage) -> None:
    """As somebody would who knows nothing of epochs."""
    topic = topics.PRODUCT
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic.name])

        async def gone() -> bool:
            return topic.name not in await admin.list_topics()

        await eventually(gone)
        await admin.create_topics([NewTopic(topic.name, topic.partitions, 1)])
    finally:
        await admin.close()


async def test_a_log_that_ends_below_the_offset_is_refused(stage: Stage, log: Writer) -> None:
    await projected(stage, log)
    await recreate_by_hand(stage)

    await refuses(stage, await stage.start(), "the log ends at 0")


async def test_another_log_under_the_same_name_is_refused_by_its_last_record(stage: Stage, log: Writer) -> None:
    await projected(stage, log)
    await recreate_by_hand(stage)
    await log.write(*(product(number, f"S{number}") for number in range(1, 60)))

    await refuses(stage, await stage.start(), "the log is another one")


async def trim(stage: Stage, topic: str) -> None:
    """Retention passes everything that is in the log now."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.kafka)
    await admin.start()
    try:
        await admin.delete_records(
            {TopicPartition(topic, p): RecordsToDelete(-1) for p in range(topics.BY_NAME[topic].partitions)}
        )
    finally:
        await admin.close()


async def test_a_log_trimmed_past_the_offset_is_refused(stage: Stage, log: Writer) -> None:
    await projected(stage, log)
    await log.write(renamed(1, "B"), *(product(number, f"S{number}") for number in range(2, 30)))
    await trim(stage, topics.PRODUCT.name)

    await refuses(stage, await stage.start(), "the records between are gone")


async def test_a_quiet_log_that_retention_has_emptied_is_let_on(stage: Stage, log: Writer) -> None:
    await projected(stage, log)
    await trim(stage, topics.PRODUCT.name)

    process = await stage.start()
    await log.write(renamed(1, "B"))

    await eventually_row(stage, SKU, "B", sf_id("Product2", 1))
    assert process.running.returncode is None


async def test_a_running_reader_overtaken_by_retention_stops(stage: Stage, log: Writer) -> None:
    await log.write(product(1, "A"))
    process = await stage.start()
    await eventually_row(stage, SKU, "A", sf_id("Product2", 1))
    await rests(stage)
    os.kill(process.running.pid, signal.SIGSTOP)
    await asyncio.sleep(1)  # whatever fetch was under way has been answered by then
    for _ in range(3):
        await log.write(*(product(number, f"S{number}") for number in range(2, 60)))
    await trim(stage, topics.PRODUCT.name)
    await log.write(renamed(1, "B"))

    os.kill(process.running.pid, signal.SIGCONT)

    assert await process.ended() == 71


# Records that cannot be used


async def letters(stage: Stage) -> list[events.DeadLetter]:
    reader = AIOKafkaConsumer(
        topics.DEAD_LETTER.name, bootstrap_servers=stage.kafka, auto_offset_reset="earliest", group_id=None
    )
    await reader.start()
    try:
        found = await reader.getmany(timeout_ms=2000)
        return [events.decode_dead_letter(record.value) for records in found.values() for record in records]
    finally:
        await reader.stop()


async def test_a_record_that_postgres_refuses_stands_alone_in_the_dead_letters(stage: Stage, log: Writer) -> None:
    good = [product(number, f"S{number}") for number in range(1, 40)]
    await log.write(*good[:20], product(99, "NUL\x00"), *good[20:])

    process = await stage.start()

    await eventually_row(stage, PRODUCTS, 39)
    found = await letters(stage)
    assert [(letter.topic, letter.stage) for letter in found] == [(topics.PRODUCT.name, "apply")]
    assert "NUL" not in found[0].reason
    _, text = await process.get("/metrics")
    assert 'sf_shadow_sync_failures_total{stage="apply"} 1.0' in text
    await rests(stage)


async def test_past_the_limit_it_stops_and_stays_stopped(stage: Stage, log: Writer) -> None:
    await log.producer.begin_transaction()
    for _ in range(4):
        await log.producer.send(topics.PRODUCT.name, b"no json", key=b"k", partition=0)
    await log.producer.commit_transaction()

    first = await stage.start(UMBRA_PROJECTOR_DEAD_LETTER_LIMIT="2")
    assert await first.ended() == 1
    second = await stage.start(UMBRA_PROJECTOR_DEAD_LETTER_LIMIT="2")

    assert await second.ended() == 1
    assert "the limit is 2" in second.text()
    assert await stage.value("SELECT max(next_offset) FROM projection_offset") == 0


# Health


async def test_it_is_ready_with_its_first_assignment_and_tells_its_metrics(stage: Stage, log: Writer) -> None:
    process = await stage.start()

    async def ready() -> bool:
        return bool(process.said("admin")) and (await process.get("/health/ready"))[0] == 200

    await eventually(ready, within=20)
    await log.write(product(1, "A"))
    await eventually_row(stage, PRODUCTS, 1)

    async def metrics() -> Any:
        text = (await process.get("/metrics"))[1]
        assert 'sf_shadow_sync_events_total{kind="snapshot",topic="sf.product2.v1"} 1.0' in text
        assert 'shadow_lag_seconds{table="sf_product_shadow"}' in text
        assert 'projector_backlog_records{topic="sf.product2.v1"} 0.0' in text
        return True

    await eventually(metrics, within=10)
    assert (await process.get("/health/live"))[0] == 200
