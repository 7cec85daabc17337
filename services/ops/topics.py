"""The topics: creates what is missing, writes each one's epoch once, and names what differs.

An epoch tells two lives of one topic name apart; cursors and projection offsets carry it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code

from schemas import topics
from schemas.topics import Topic
from services.ops.errors import CommandFailed


@dataclass(frozen=True, slots=True)
class Report:
    """Topics made now, and what differs from the definition in those that were there."""

    created: list[str]
    differences: list[str]


async def ensure(bootstrap: str, dsn: str, *, replication: int = 1, wanted: Sequence[Topic] = topics.ALL) -> Report:
    """Create missing topics and epochs. Differing partition counts and settings are reported, never changed."""
    async with _alone(dsn) as connection, _admin(bootstrap) as admin:
        existing = set(await admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in existing]
        # Before the topic is there: ending in between leaves no new log under an old epoch.
        await _write_epochs(connection, wanted, renewed=[topic.name for topic in missing])
        created = await _create(admin, missing, replication)
        found = await _differences(admin, [topic for topic in wanted if topic.name in existing])
    return Report(created, found)


@dataclass(frozen=True, slots=True)
class Examined:
    """How the topics are: those that lack, and where partition counts and settings differ from the definition."""

    missing: list[str]
    partitions: list[str]
    settings: list[str]


async def examine(bootstrap: str, *, wanted: Sequence[Topic] = topics.ALL) -> Examined:
    """Compare the topics with their definition; changes nothing. Raises CommandFailed where no Kafka answers."""
    async with _admin(bootstrap) as admin:
        existing = set(await admin.list_topics())
        there = [topic for topic in wanted if topic.name in existing]
        missing = [topic.name for topic in wanted if topic.name not in existing]
        return Examined(missing, await _other_counts(admin, there), await _other_settings(admin, there))


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that holds the lock of migrations: one at a time, the others wait."""
    try:
        connection = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError) as error:
        raise CommandFailed(f"no connection to PostgreSQL: {error}") from error
    try:
        await connection.execute("SELECT pg_advisory_lock(hashtext('umbra migrate'))")
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="umbra-migrate")
    try:
        await admin.start()
    except KafkaConnectionError as error:
        await admin.close()
        raise CommandFailed(f"no Kafka answers at {bootstrap}") from error
    try:
        yield admin
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, missing: Sequence[Topic], replication: int) -> list[str]:
    if not missing:
        return []
    answer = await admin.create_topics(
        [NewTopic(topic.name, topic.partitions, replication, topic_configs=topic.config) for topic in missing]
    )
    created = []
    for name, code, *_ in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            raise CommandFailed(f"topic {name} could not be created: {error.__name__}")
    return created


async def _differences(admin: AIOKafkaAdminClient, existing: Sequence[Topic]) -> list[str]:
    return [*await _other_counts(admin, existing), *await _other_settings(admin, existing)]


async def _other_counts(admin: AIOKafkaAdminClient, existing: Sequence[Topic]) -> list[str]:
    if not existing:
        return []
    counts = {
        found["topic"]: len(found["partitions"])
        for found in await admin.describe_topics([topic.name for topic in existing])
    }
    return [
        f"{topic.name} has {counts[topic.name]} partitions, not {topic.partitions}"
        for topic in existing
        if counts[topic.name] != topic.partitions
    ]


async def _other_settings(admin: AIOKafkaAdminClient, existing: Sequence[Topic]) -> list[str]:
    if not existing:
        return []
    settings = await _settings(admin, existing)
    return [
        f"{topic.name} has {key}={settings[topic.name].get(key)}, not {value}"
        for topic in existing
        for key, value in topic.config.items()
        if settings[topic.name].get(key) != value
    ]


async def _settings(admin: AIOKafkaAdminClient, existing: Sequence[Topic]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in existing]
    answers = await admin.describe_configs(resources)
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for _, _, _, name, entries in answer.resources
    }


async def _write_epochs(connection: asyncpg.Connection, wanted: Sequence[Topic], renewed: Sequence[str]) -> None:
    """A topic about to be made begins a new epoch; one that is there keeps the epoch that it has."""
    rows = [
        (topic.name, secrets.token_hex(4), topic.partitions, topics.OBJECT_OF.get(topic.name), topic.name in renewed)
        for topic in wanted
    ]
    await connection.executemany(_EPOCH, rows)


_EPOCH = """
INSERT INTO topic_epoch (topic, epoch, partitions, object) VALUES ($1, $2, $3, $4)
ON CONFLICT (topic) DO UPDATE SET epoch = excluded.epoch, partitions = excluded.partitions, created_at = now()
WHERE $5
"""
