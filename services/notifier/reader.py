"""Reads every partition of the status topic, by assignment and without a group, committed records only.

A broker that is away is waited for and nothing is skipped. A log that no longer holds the reader's place (trimmed,
truncated, made anew) is begun again from its recent end: every stream is closed first and resumes by its cursor.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas import topics
from services.kernel import kafka
from services.kernel.errors import Fatal, Retryable
from services.kernel.health import Gate
from services.kernel.retry import Backoff
from services.kernel.settings import KafkaSettings
from services.notifier.log import Log, entry_of
from services.notifier.ring import Entry

log = logging.getLogger(__name__)

POLL_MS = 250
"""Longest wait for a batch. A record ends it at once; markers without records are noticed at its end."""
PATIENCE_SECONDS = 3.0
EPOCH_SECONDS = 15.0


class KafkaAway(Retryable):
    """The broker did not answer in time."""


class LogReplaced(Exception):
    """The log is another one, or no longer holds the place from which to go on."""


class Reader:
    """`log` is None until the first start has found the topic and its epoch."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        window: int,
        open_log: Callable[[str, list[int]], Log],
        epoch: Callable[[], Awaitable[str | None]],
        on_entry: Callable[[Entry | None], None],
        on_batch: Callable[[], None],
        on_replaced: Callable[[], None],
        ready: Gate,
        topic: topics.Topic = topics.ORDER_STATUS,
    ) -> None:
        self.log: Log | None = None
        self._settings = settings
        self._window = window
        self._open_log = open_log
        self._epoch = epoch
        self._on_entry = on_entry
        self._on_batch = on_batch
        self._on_replaced = on_replaced
        self._ready = ready
        self._topic = topic
        self._partitions = kafka.partitions_of(topic.name, topic.partitions)
        self._probe: AIOKafkaConsumer | None = None
        self._ready_at: dict[Any, int] = {}

    async def run(self) -> None:
        """Read until cancelled."""
        backoff = Backoff(first=0.2, longest=3.0)
        while True:
            try:
                async with self._consumers() as consumer:
                    backoff.reset()
                    await self._read(consumer)
            except LogReplaced as error:
                log.warning("status log begins again", extra={"action": "log_replaced", "why": str(error)})
                self._forget()
            except (KafkaError, Retryable, OSError, TimeoutError) as error:
                self._ready.close("waiting for Kafka and Postgres")
                log.warning("cannot read yet", extra={"action": "reader_waits", "why": type(error).__name__})
            await asyncio.sleep(backoff.next())

    async def end(self, partition: int) -> int:
        """The partition's high watermark now, open transactions included. Raises KafkaAway."""
        place = self._partitions[partition]
        return (await self._ends([place]))[place]

    async def behind(self) -> int:
        """Records between the log's end now and what has been read. Raises KafkaAway."""
        ends = await self._ends(self._partitions)
        return 0 if self.log is None else self.log.behind([ends[place] for place in self._partitions])

    async def _ends(self, places: list[Any]) -> dict[Any, int]:
        if self._probe is None:
            raise KafkaAway("not connected yet")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                ends: dict[Any, int] = await self._probe.end_offsets(places)
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaAway(type(error).__name__) from error
        return ends

    @asynccontextmanager
    async def _consumers(self) -> AsyncIterator[AIOKafkaConsumer]:
        """The reader, and a second client that sees the end behind open transactions."""
        async with (
            _started(self._settings, auto_offset_reset="none", fetch_max_wait_ms=POLL_MS) as consumer,
            _started(self._settings, isolation_level="read_uncommitted") as self._probe,
        ):
            yield consumer

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        held = await self._assign(consumer)
        watching = asyncio.create_task(self._watch_epoch(), name="notifier.epoch")
        try:
            while not watching.done():
                await self._batch(consumer, held)
            watching.result()
        except OffsetOutOfRangeError as error:
            raise LogReplaced("its place is no longer in the log") from error
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, LogReplaced):
                await watching

    async def _assign(self, consumer: AIOKafkaConsumer) -> Log:
        """Assign all partitions: where this instance has read to, else a window before the end."""
        epoch = await self._epoch()
        if epoch is None:
            raise Retryable("the topics have not been made yet")
        consumer.assign(self._partitions)
        self._ready_at = await self._ends(self._partitions)
        self._check_partitions()
        if self.log is None or self.log.epoch != epoch:
            self._forget()
            firsts = await consumer.beginning_offsets(self._partitions)
            starts = [max(firsts[place], self._ready_at[place] - self._window) for place in self._partitions]
            self.log = self._open_log(epoch, starts)
        for place, ring in zip(self._partitions, self.log.rings, strict=True):
            consumer.seek(place, ring.pos)
        return self.log

    def _check_partitions(self) -> None:
        """Another count would put orders into partitions where nobody looks for them."""
        found = len((self._probe and self._probe.partitions_for_topic(self._topic.name)) or self._partitions)
        if found != len(self._partitions):
            raise Fatal(f"{self._topic.name} has {found} partitions, {len(self._partitions)} are expected")

    async def _batch(self, consumer: AIOKafkaConsumer, held: Log) -> None:
        for place, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
            ring = held.rings[place.partition]
            for record in records:
                entry = entry_of(record, self._home(record.key))
                if entry is not None:
                    ring.append(entry)
                self._on_entry(entry)
        for place, ring in zip(self._partitions, held.rings, strict=True):
            ring.advance(await consumer.position(place))
        self._on_batch()
        if not self._ready.is_open and not held.behind([self._ready_at[place] for place in self._partitions]):
            self._ready.open()

    def _home(self, key: bytes | None) -> int:
        return -1 if key is None else kafka.key_hash(key) % len(self._partitions)

    async def _watch_epoch(self) -> None:
        """Ends with LogReplaced when the topic has been made anew."""
        while True:
            await asyncio.sleep(EPOCH_SECONDS)
            with contextlib.suppress(Retryable):
                epoch = await self._epoch()
                if self.log is not None and epoch is not None and epoch != self.log.epoch:
                    raise LogReplaced("the topic has a new epoch")

    def _forget(self) -> None:
        self._ready.close("reading the recent log")
        if self.log is not None:
            self.log = None
            self._on_replaced()


@asynccontextmanager
async def _started(settings: KafkaSettings, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = kafka.consumer(settings, **options)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
