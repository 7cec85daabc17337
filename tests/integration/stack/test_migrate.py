"""`umbra migrate`: everything made once, the same again changes nothing, what differs is named and left."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from sandbox.stack import kafka, postgres
from schemas import topics
from schemas.topics import Topic
from tests.support import stack


@pytest.fixture
def empty_database(servers: stack.Servers) -> Iterator[str]:
    server = servers.postgres()
    yield servers.run(server.create("not_migrated"))
    servers.run(server.drop("not_migrated"))


async def _migrate(bootstrap: str, dsn: str) -> tuple[int, dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ops",
        "migrate",
        "--json",
        stdout=asyncio.subprocess.PIPE,
        env={"UMBRA_KAFKA_BOOTSTRAP": bootstrap, "UMBRA_POSTGRES_DSN": dsn},
    )
    out, _ = await process.communicate()
    return process.returncode or 0, json.loads(out)


async def _epochs(dsn: str) -> dict[str, str]:
    connection = await asyncpg.connect(dsn)
    try:
        return dict(await connection.fetch("SELECT topic, epoch FROM topic_epoch"))
    finally:
        await connection.close()


async def test_first_run_makes_all_and_the_second_changes_nothing(tmp_path: Path, empty_database: str) -> None:
    async with kafka.running(tmp_path) as broker:
        code, first = await _migrate(broker.bootstrap, empty_database)
        epochs = await _epochs(empty_database)
        again, second = await _migrate(broker.bootstrap, empty_database)

        assert (code, again) == (0, 0)
        assert set(first["topics"]) == {topic.name for topic in topics.ALL}
        assert first["migrations"]
        assert second == {"ok": True, "migrations": [], "topics": [], "differences": []}
        assert await _epochs(empty_database) == epochs


async def test_two_at_once_agree_on_one_epoch(kafka_bootstrap: str, postgres_dsn: str) -> None:
    await _drop_topics(kafka_bootstrap)

    ended = await asyncio.gather(*(_migrate(kafka_bootstrap, postgres_dsn) for _ in range(2)))

    assert [code for code, _ in ended] == [0, 0]
    assert sorted(len(report["topics"]) for _, report in ended) == [0, len(topics.ALL)]


async def test_topic_made_again_begins_a_new_epoch(kafka_bootstrap: str, postgres_dsn: str) -> None:
    await _migrate(kafka_bootstrap, postgres_dsn)
    before = await _epochs(postgres_dsn)
    await _drop_topics(kafka_bootstrap, topics.ORDER)

    await _migrate(kafka_bootstrap, postgres_dsn)

    after = await _epochs(postgres_dsn)
    assert [name for name in before if before[name] != after[name]] == [topics.ORDER.name]


async def test_other_partition_count_or_retention_is_named_and_left(kafka_bootstrap: str, postgres_dsn: str) -> None:
    await _drop_topics(kafka_bootstrap)
    await stack.new_topic(kafka_bootstrap, topics.ORDER.name, partitions=2)

    code, report = await _migrate(kafka_bootstrap, postgres_dsn)

    assert code == 1
    assert f"{topics.ORDER.name} has 2 partitions, not 4" in report["differences"]
    retention = topics.ORDER.retention_ms
    assert f"{topics.ORDER.name} has retention.ms=604800000, not {retention}" in report["differences"]
    await _drop_topics(kafka_bootstrap)


async def test_projector_may_write_what_migrate_made(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(stack.as_role(postgres_dsn, postgres.PROJECTOR))

    await connection.execute("INSERT INTO cache_outbox (topic, partition, next_offset, tags) VALUES ('t', 0, 1, '{}')")

    await connection.close()


async def _drop_topics(bootstrap: str, *chosen: Topic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    present = set(await admin.list_topics()) & {topic.name for topic in chosen or topics.ALL}
    if present:
        await admin.delete_topics(sorted(present))
    await admin.close()
