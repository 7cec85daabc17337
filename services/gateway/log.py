"""The gateway's voice in the log: statuses that a caller waits for, and what live reads found, which nobody waits for.

The producer starts when Kafka is there, not before: reads need no Kafka.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import events, topics
from schemas.events import OrderStatus, RecordChange
from services.gateway.metrics import Metrics
from services.kernel import kafka
from services.kernel.clock import Clock
from services.kernel.errors import Retryable
from services.kernel.retry import Backoff
from services.kernel.settings import KafkaSettings

log = logging.getLogger(__name__)

SOURCE = "/umbra/gateway"
ACK_SECONDS = 5.0
_MOST_WAITING = 1_000
"""Changes that may wait to be sent; past it they are dropped: a later read says the same."""

Said = RecordChange | OrderStatus


class LogAway(Retryable):
    """Kafka did not acknowledge in time; whether the record is in the log is not known."""


class Log:
    def __init__(self, settings: KafkaSettings, clock: Clock, metrics: Metrics) -> None:
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._producer: AIOKafkaProducer | None = None
        self._waiting: asyncio.Queue[Said] = asyncio.Queue(_MOST_WAITING)
        self._broken = asyncio.Event()
        self._up = asyncio.Event()

    @property
    def waiting(self) -> int:
        return self._waiting.qsize()

    async def comes_up(self, within: float) -> bool:
        """Whether there is a connection to Kafka, now or within so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    async def send(self, *said: Said) -> None:
        """Return once every record is acknowledged by all replicas. Raises LogAway."""
        producer = self._producer
        if producer is None:
            raise LogAway("kafka is away")
        try:
            async with asyncio.timeout(ACK_SECONDS):
                sent = [await self._begin(producer, each) for each in said]
                for acknowledged in sent:
                    await acknowledged
        except (KafkaError, TimeoutError, OSError) as error:
            self._metrics.away.labels("kafka").inc()
            if not isinstance(error, TimeoutError):
                self._broken.set()
            raise LogAway("kafka does not acknowledge") from error

    def post(self, said: Said) -> None:
        """Send when there is time; dropped when too many wait."""
        try:
            self._waiting.put_nowait(said)
        except asyncio.QueueFull:
            self._metrics.changes.labels("dropped").inc()

    async def run(self) -> None:
        """Keep a producer, replaced after an error that it may not survive, and send what was posted."""
        backoff = Backoff(first=0.1, longest=2.0)
        while True:
            producer = kafka.producer(self._settings)
            try:
                await producer.start()
                backoff.reset()
                self._producer = producer
                self._up.set()
                await self._send_posted()
            except (KafkaError, OSError) as error:
                log.warning("kafka is away", extra={"action": "kafka_away", "why": type(error).__name__})
            finally:
                self._producer = None
                self._up.clear()
                with suppress(KafkaError, OSError):
                    await producer.stop()
            await asyncio.sleep(backoff.next())

    async def _send_posted(self) -> None:
        self._broken.clear()
        broken = asyncio.create_task(self._broken.wait(), name="gateway.log.broken")
        try:
            while not broken.done():
                get = asyncio.create_task(self._waiting.get(), name="gateway.log.next")
                await asyncio.wait({get, broken}, return_when=asyncio.FIRST_COMPLETED)
                if not get.done():
                    get.cancel()
                    return
                await self._send_one(get.result())
        finally:
            broken.cancel()

    async def _send_one(self, said: Said) -> None:
        try:
            await self.send(said)
            self._metrics.changes.labels("sent").inc()
        except LogAway:
            self._metrics.changes.labels("failed").inc()

    async def _begin(self, producer: AIOKafkaProducer, said: Said) -> Any:
        topic = topics.ORDER_STATUS if isinstance(said, OrderStatus) else topics.RECORD_TOPICS[said.object]
        message = events.encode(said, source=SOURCE, now=self._clock.now())
        return await producer.send(topic.name, message.value, key=message.key, headers=message.headers)
