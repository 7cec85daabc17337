"""Follows changes from the end of the log to the row, the caches and the socket, as they happen.

The log is read at its end without a group; rows are there once the projection's offset is past the record; what the
caches are told is published by the very step that gives the tags new nonces; streams are those of the notifier.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from redis.asyncio import Redis

from schemas import tags, topics
from schemas.events import Watermark
from schemas.mapping import Mapping as FieldMapping
from services.kernel import kafka, postgres, tagcache
from services.ops import changes
from services.ops.changes import Change
from services.projector.batch import decode_all
from services.projector.log import LogRecord, Place

TOPICS = (*topics.RECORD_TOPICS.values(), topics.ORDER_STATUS)
MOST = 500
"""Changes followed at once; of more, in a backfill, only the number is told."""
_LOOK_SECONDS = 0.005
_AGAIN_SECONDS = 1.0
_REMEMBERED = 500
_SQL = postgres.queries(Path(__file__).with_name("explain.sql"))


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of all of one account's orders."""

    account_id: str
    url: str
    token: str


@dataclass(slots=True)
class Watch:
    """show: is given each change once nothing more of it is to come, or `patience` has passed"""

    pool: Any
    redis: Redis
    fields: FieldMapping
    show: Callable[[Change], None]
    patience_ms: int
    streams: Mapping[str, Stream] = field(default_factory=dict)
    skipped: int = 0
    _under_way: dict[tuple[Place, int], Change] = field(default_factory=dict)
    _heard: deque[tuple[int, frozenset[str]]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _sent: dict[str, int] = field(default_factory=dict)

    async def read(self, consumer: Any) -> None:
        """The log, whose reader stands at its end."""
        while True:
            for partition, batch in (await consumer.getmany(timeout_ms=500, max_records=MOST)).items():
                place = Place(partition.topic, partition.partition)
                records = [LogRecord(place, e.offset, e.offset, e.timestamp or 0, e.key, e.value) for e in batch]
                for each in decode_all(records, self.fields):
                    if each.event is not None and not isinstance(each.event, Watermark):
                        await self._begin(changes.of(place, each.record.offset, each.record.timestamp_ms, each.event))

    async def _begin(self, change: Change) -> None:
        if len(self._under_way) >= MOST:
            self.skipped += 1
            return
        change.tags = await self._tags(change)
        change.awaited = change.place.topic == topics.ORDER_STATUS.name and await self._owner(change) in self.streams
        for at_ms, told in self._heard:
            change.told(at_ms, told)
        change.socket_ms = self._sent.get(change.version)
        self._under_way[change.place, change.offset] = change

    async def _tags(self, change: Change) -> set[str]:
        """Of its row as it is now: what is told of the old row and of the new one is told at once."""
        match change.name:
            case "Account":
                return {tags.eligibility(change.record_id)}
            case "Order":
                return {tags.order(change.record_id)}
        row = await self.pool.fetchrow(_SQL["product" if change.name == "Product2" else "entry"], change.record_id)
        return set() if row is None else tags.of_product(row["sku"], row["item_class"])

    async def _owner(self, change: Change) -> str | None:
        row = await self.pool.fetchrow(_SQL["order"], change.record_id)
        return None if row is None else row["account_id"]

    async def look(self) -> None:
        """Rows, and what is still to be told."""
        while True:
            if self._under_way:
                await self._look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self) -> None:
        rows = await self.pool.fetch(_SQL["applied"], sorted({place.topic for place, _ in self._under_way}))
        applied, now_ms = {Place(row[0], row[1]): row[2] for row in rows}, _now_ms()
        for change in list(self._under_way.values()):
            if change.row_ms is None and applied.get(change.place, 0) > change.offset:
                change.row_ms = now_ms
                change.tags |= await self._tags(change)
        await self._settle(now_ms)
        for key, change in list(self._under_way.items()):
            if change.done or now_ms - change.log_ms > self.patience_ms:
                del self._under_way[key]
                self.show(change)

    async def _settle(self, now_ms: int) -> None:
        open_ones = [each for each in self._under_way.values() if each.row_ms is not None and each.told_ms is None]
        named = sorted({tag for each in open_ones for tag in each.tags})
        waiting = {row["tag"] for row in await self.pool.fetch(_SQL["untold"], named)} if named else set()
        for each in open_ones:
            each.settle(untold=bool(each.tags & waiting), now_ms=now_ms)

    async def hear(self, heard: Any) -> None:
        """What the caches are told. `heard`: a subscription to the channel of told tags."""
        while True:
            message = await heard.get_message(ignore_subscribe_messages=True, timeout=1.0)
            if message is not None:
                at_ms, told = _now_ms(), frozenset(tagcache.told(message["data"]))
                self._heard.append((at_ms, told))
                for change in self._under_way.values():
                    change.told(at_ms, told)

    async def follow(self, session: aiohttp.ClientSession, stream: Stream) -> None:
        """A stream of the notifier, opened again when it ends."""
        headers = {"Authorization": f"Bearer {stream.token}", "Accept": "text/event-stream"}
        while True:
            try:
                async with session.get(stream.url, headers=headers) as answer:
                    async for data in _updates(answer):
                        self._arrived(str(data["version"]))
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(_AGAIN_SECONDS)

    def _arrived(self, version: str) -> None:
        self._sent[version] = _now_ms()
        while len(self._sent) > _REMEMBERED:
            del self._sent[next(iter(self._sent))]
        for change in self._under_way.values():
            if change.version == version and change.socket_ms is None:
                change.socket_ms = self._sent[version]


async def at_the_end(consumer: Any) -> None:
    """Put a reader at the end of every partition of the log."""
    wanted = [each for topic in TOPICS for each in kafka.partitions_of(topic.name, topic.partitions)]
    consumer.assign(wanted)
    for place, end in (await consumer.end_offsets(wanted)).items():
        consumer.seek(place, end)


async def _updates(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The data of each `order.update`; the notifier writes one data line a frame."""
    event = ""
    async for raw in answer.content:
        name, _, value = raw.decode().rstrip("\n").partition(": ")
        if name == "event":
            event = value
        elif name == "data" and event == "order.update":
            yield json.loads(value)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
