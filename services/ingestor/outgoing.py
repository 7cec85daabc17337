"""Events as the log takes them: topic, partition, bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from schemas import events, topics
from schemas.events import Checkpoint, DeadLetter, Message, OrderStatus, RecordChange, Watermark
from services.kernel.kafka import partition_of

SOURCE = "/umbra/ingestor"


class Record(NamedTuple):
    """One record of a transaction."""

    topic: str
    partition: int
    message: Message


def change(of: RecordChange, now: datetime) -> Record:
    topic = topics.RECORD_TOPICS[of.object]
    message = events.encode(of, source=SOURCE, now=now, traceparent=_traceparent(of))
    return Record(topic.name, partition_of(of.record_id, topic.partitions), message)


def status(of: OrderStatus, now: datetime) -> Record:
    topic = topics.ORDER_STATUS
    return Record(topic.name, partition_of(of.order_id, topic.partitions), events.encode(of, source=SOURCE, now=now))


def watermark(of: Watermark, now: datetime) -> Iterator[Record]:
    """To every partition of the object's topic."""
    topic = topics.RECORD_TOPICS[of.object]
    message = events.encode(of, source=SOURCE, now=now)
    return (Record(topic.name, partition, message) for partition in range(topic.partitions))


def checkpoint(of: Checkpoint, partition: int, now: datetime) -> Record:
    return Record(topics.CHECKPOINT.name, partition, events.encode(of, source=SOURCE, now=now))


def dead_letter(of: DeadLetter, now: datetime) -> Record:
    return Record(topics.DEAD_LETTER.name, 0, events.encode(of, source=SOURCE, now=now))


def _traceparent(of: RecordChange) -> str | None:
    """One trace for one Salesforce transaction, one span for one of its events."""
    if of.transaction_key is None:
        return None
    trace = blake2b(of.transaction_key.encode(), digest_size=16).hexdigest()
    span = blake2b(f"{of.replay_id}".encode(), digest_size=8).hexdigest()
    return f"00-{trace}-{span}-01"
