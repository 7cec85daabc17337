"""The stored position of a Salesforce topic or a job: the last committed value of its key, read to the very end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas import events, topics
from schemas.events import Checkpoint
from services.ingestor.transactions import TIMEOUT_SECONDS, Abandoned
from services.kernel import kafka
from services.kernel.settings import KafkaSettings

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2 * TIMEOUT_SECONDS
"""Twice the longest transaction: the broker looks for timed-out ones at intervals, and adds up to ten seconds."""
_POLL_MS = 200


async def read(settings: KafkaSettings, partition: int, name: str) -> Checkpoint | None:
    """The newest committed checkpoint of a name, None where there has never been one.

    To be called after the name's transactional id was taken, so that nobody can write another. Raises Abandoned when
    a foreign transaction stays open on the partition: what it hides is not guessed.
    """
    place = TopicPartition(topics.CHECKPOINT.name, partition)
    end = await _high_watermark(settings, place)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), _at(settings, place, "read_committed") as consumer:
            return await _last(consumer, place, end, name)
    except TimeoutError as error:
        log.error(
            "the checkpoint cannot be read to its end, a transaction stays open",
            extra={"action": "checkpoint_unreadable", "partition": partition},
        )
        raise Abandoned("the checkpoint partition is held by an open transaction") from error


async def _high_watermark(settings: KafkaSettings, place: TopicPartition) -> int:
    """Asked uncommitted: a read_committed end stops before an open transaction, and with it before its successors."""
    async with _at(settings, place, "read_uncommitted") as consumer:
        ends = await consumer.end_offsets([place])
        return int(ends[place])


async def _last(consumer: AIOKafkaConsumer, place: TopicPartition, end: int, name: str) -> Checkpoint | None:
    await consumer.seek_to_beginning(place)
    found: bytes | None = None
    while await consumer.position(place) < end:
        for record in (await consumer.getmany(place, timeout_ms=_POLL_MS)).get(place, []):
            found = record.value if record.key == name.encode() else found
    return None if found is None else events.decode_checkpoint(found)


@asynccontextmanager
async def _at(settings: KafkaSettings, place: TopicPartition, isolation: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = kafka.consumer(settings, isolation_level=isolation, fetch_max_wait_ms=50)
    try:
        await consumer.start()
        consumer.assign([place])
        yield consumer
    finally:
        await consumer.stop()
