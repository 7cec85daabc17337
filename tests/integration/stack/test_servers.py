"""The embedded servers keep their promises: real, alone, killable, and they find their data again."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from redis.asyncio import Redis

from sandbox.stack import kafka, postgres, valkey
from schemas import topics
from tests.support import stack
from tests.support.eventually import eventually


async def test_each_topic_gets_an_epoch_and_fresh_topics_renew_it(kafka_bootstrap: str, postgres_dsn: str) -> None:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    connection = await asyncpg.connect(postgres_dsn)
    first = dict(await connection.fetch("SELECT topic, epoch FROM topic_epoch"))

    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)

    second = dict(await connection.fetch("SELECT topic, epoch FROM topic_epoch"))
    await connection.close()
    assert set(first) == set(second) == {topic.name for topic in topics.ALL}
    assert not set(first.values()) & set(second.values())


async def test_reader_role_reads_and_cannot_write(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(stack.as_role(postgres_dsn, postgres.READER))
    assert await connection.fetch("SELECT * FROM sf_product_shadow") == []

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM sf_product_shadow")

    await connection.close()


async def test_valkey_is_empty_at_the_start_of_a_test(valkey_url: str) -> None:
    async with Redis.from_url(valkey_url) as client:
        assert await client.dbsize() == 0
        await client.set("left", "over")


async def test_valkey_is_emptied_between_tests(valkey_url: str) -> None:
    async with Redis.from_url(valkey_url) as client:
        assert await client.dbsize() == 0


async def test_killed_broker_comes_back_with_its_records(tmp_path: Path) -> None:
    async with kafka.running(tmp_path) as broker:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            await stack.new_topic(broker.bootstrap, "kept")
            await producer.send_and_wait("kept", b"one")
        address, first_pid = broker.bootstrap, broker.pid
        await broker.kill()

        await broker.restart()

        assert broker.bootstrap == address
        assert broker.pid != first_pid
        assert await _first_value(broker.bootstrap, "kept") == b"one"


async def _first_value(bootstrap: str, topic: str) -> bytes:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        record = await consumer.getone()
        return bytes(record.value)


async def test_killed_database_comes_back_with_its_rows(tmp_path: Path) -> None:
    async with postgres.running(tmp_path) as database:
        connection = await asyncpg.connect(database.dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        await database.kill()
        await eventually(connection.is_closed)

        await database.restart()

        connection = await asyncpg.connect(database.dsn)
        assert await connection.fetchval("SELECT one FROM kept") == 1
        await connection.close()


async def test_second_start_of_the_database_finds_its_rows(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 20) / ("name" * 20)
    async with postgres.running(deep) as database:
        connection = await asyncpg.connect(database.dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        await connection.close()

    async with postgres.running(deep) as database:
        connection = await asyncpg.connect(database.dsn)
        assert await connection.fetchval("SELECT one FROM kept") == 1
        await connection.close()


async def test_valkey_restart_keeps_its_address_and_forgets(tmp_path: Path) -> None:
    async with valkey.running(tmp_path) as cache:
        async with Redis.from_url(cache.url) as client:
            await client.set("old", "value")
        await cache.kill()

        await cache.restart()

        async with Redis.from_url(cache.url) as client:
            assert await client.get("old") is None
