"""Reads a whole topic as it stands."""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas import topics
from schemas.topics import Topic
from services.kernel.kafka import partitions_of


async def read_topic(bootstrap: str, topic: Topic) -> list[Any]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        places = partitions_of(topic.name, topic.partitions)
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[Any] = []
        for place in places:
            while await consumer.position(place) < ends[place]:
                batch = await consumer.getmany(place, timeout_ms=1_000)
                found += [record for records in batch.values() for record in records]
        return found
    finally:
        await consumer.stop()


async def ensure_topics(bootstrap: str) -> None:
    """The project's topics with their partitions, where they are not there yet; what is in them stays."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        present = set(await admin.list_topics())
        missing = [topic for topic in topics.ALL if topic.name not in present]
        if missing:
            await admin.create_topics([NewTopic(topic.name, topic.partitions, 1) for topic in missing])
    finally:
        await admin.close()
