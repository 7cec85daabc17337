"""What the log holds of one record: read from its one partition by key, without a group, committed records only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas import topics, versions
from schemas.mapping import Mapping as FieldMapping
from services.kernel import kafka
from services.kernel.settings import KafkaSettings
from services.ops.errors import CommandFailed
from services.projector.batch import Decoded, decode_all
from services.projector.log import LogRecord, Place

_RECORDS = 5_000
_STOP_SECONDS = 2.0
_IDLE_POLLS = 60
"""Answers without any progress, of half a second each, after which the log counts as stuck."""


@dataclass(frozen=True, slots=True)
class Past:
    """Events of one record in one partition, oldest first.

    begin, end: offsets that were looked at; records: how many lay between
    dropped: older events of the record that were read and are not kept here
    """

    place: Place
    begin: int
    end: int
    records: int
    events: list[Decoded]
    dropped: int


@dataclass(frozen=True, slots=True)
class Reader:
    """Its methods raise CommandFailed where the log does not answer."""

    consumer: Any
    fields: FieldMapping

    async def of(self, topic: topics.Topic, key: str, since: datetime | None, most: int) -> Past:
        """The newest `most` events under a key."""
        place = TopicPartition(topic.name, kafka.partition_of(key, topic.partitions))
        begin, end = await self._range(place, since)
        found: deque[LogRecord] = deque(maxlen=most)
        records = matching = 0
        async for each in self._records(place, begin, end):
            records += 1
            if each.key == key.encode():
                matching += 1
                found.append(each)
        events = decode_all(found, self.fields)
        return Past(Place(*place), begin, end, records, events, matching - len(found))

    async def one(self, place: Place, offset: int) -> Decoded | None:
        """The record at an offset; None where a marker, an aborted record or nothing (any more) lies there."""
        partition = TopicPartition(*place)
        begin, end = await self._range(partition, None)
        if not begin <= offset < end:
            return None
        async for each in self._records(partition, offset, offset + 1):
            return decode_all([each], self.fields)[0]
        return None

    async def _range(self, place: TopicPartition, since: datetime | None) -> tuple[int, int]:
        begin: int = (await self.consumer.beginning_offsets([place]))[place]
        end: int = (await self.consumer.end_offsets([place]))[place]
        if since is None:
            return begin, end
        found: Mapping[Any, Any] = await self.consumer.offsets_for_times({place: versions.millis(since)})
        return (end if found[place] is None else found[place].offset), end

    async def _records(self, place: TopicPartition, begin: int, end: int) -> AsyncIterator[LogRecord]:
        self.consumer.assign([place])
        self.consumer.seek(place, begin)
        position, idle = begin, 0
        while position < end:
            answer = await self.consumer.getmany(place, timeout_ms=500, max_records=_RECORDS)
            for each in answer.get(place, ()):
                if each.offset < end:
                    yield LogRecord(Place(*place), each.offset, each.offset, each.timestamp or 0, each.key, each.value)
            before, position = position, await self.consumer.position(place)
            idle = idle + 1 if position == before else 0
            if idle > _IDLE_POLLS:
                raise CommandFailed(f"{place.topic}/{place.partition} gives nothing after offset {position}")


@asynccontextmanager
async def opened(settings: KafkaSettings, fields: FieldMapping) -> AsyncIterator[Reader]:
    """Raises CommandFailed where no broker answers."""
    consumer = kafka.consumer(settings, group_id=None, auto_offset_reset="none", fetch_max_wait_ms=100)
    try:
        await consumer.start()
        yield Reader(consumer, fields)
    except (KafkaError, OSError) as error:
        raise CommandFailed(f"Kafka does not answer at {settings.bootstrap}: {type(error).__name__}") from error
    finally:
        # aiokafka's stop may wait for ever where partitions were assigned a moment before.
        with suppress(TimeoutError):
            await asyncio.wait_for(consumer.stop(), _STOP_SECONDS)
