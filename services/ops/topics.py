"""The topics: creates what is missing, writes each one's epoch once, and names what differs.

An epoch tells two lives of one topic name apart; cursors and projection offsets carry it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code

from schemas import topics
from schemas.topics import Topic
from services.ops.errors import CommandFailed


@dataclass(slots=True)
class Report:
    created: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


async def ensure(bootstrap: str, dsn: str, *, replication: int = 1, wanted: Sequence[Topic] = topics.ALL) -> Report:
    """Create missing topics and epochs. Differing partition counts and settings are reported, never changed."""
    report = Report()
    async with _admin(bootstrap) as admin:
        existing = set(await admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in existing]
        report.created = await _create(admin, missing, replication)
        report.differences = await _differences(admin, [topic for topic in wanted if topic.name in existing])
    await _write_epochs(dsn, wanted, renewed=report.created)
    return report


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
    if not existing:
        return []
    counts = {
        found["topic"]: len(found["partitions"])
        for found in await admin.describe_topics([topic.name for topic in existing])
    }
    found = [
        f"{topic.name} has {counts[topic.name]} partitions, not {topic.partitions}"
        for topic in existing
        if counts[topic.name] != topic.partitions
    ]
    settings = await _settings(admin, existing)
    return found + [
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


async def _write_epochs(dsn: str, wanted: Sequence[Topic], renewed: Iterable[str]) -> None:
    """A topic made just now begins a new epoch; one that was there keeps the epoch that it has."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            for topic in wanted:
                await connection.execute(
                    _EPOCH,
                    topic.name,
                    secrets.token_hex(4),
                    topic.partitions,
                    topics.OBJECT_OF.get(topic.name),
                    topic.name in renewed,
                )
    finally:
        await connection.close()


_EPOCH = """
INSERT INTO topic_epoch (topic, epoch, partitions, object) VALUES ($1, $2, $3, $4)
ON CONFLICT (topic) DO UPDATE SET epoch = excluded.epoch, partitions = excluded.partitions, created_at = now()
WHERE $5
"""
