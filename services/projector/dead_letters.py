"""Where records go that can never be used: a row in the transaction that moves past them, a letter to the topic.

The row makes it once, and counts over restarts, so that a worker past its limit stays stopped instead of
emptying a topic into the dead letters. The letter is written before the offset moves: at least once, and its
id names the record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError

from schemas import events, topics
from schemas.events import DeadLetter, Message
from services.kernel import kafka
from services.kernel.clock import Clock
from services.kernel.errors import Fatal, Retryable
from services.kernel.settings import KafkaSettings
from services.projector.batch import Decoded
from services.projector.link import Link

log = logging.getLogger(__name__)

Send = Callable[[Message], Awaitable[None]]
"""Writes one message to the dead-letter topic and returns once it is there."""

WINDOW_SECONDS = 3600


class DeadLetters:
    """limit: how many records may be set aside within an hour, by all workers together."""

    def __init__(self, send: Send, *, limit: int, clock: Clock) -> None:
        self._send = send
        self._limit = limit
        self._clock = clock

    async def take(self, link: Link, rejected: Sequence[Decoded]) -> None:
        """Set records aside, inside the transaction that moves past them; Fatal past the limit."""
        records = [each.record for each in rejected]
        await link.rows(
            "dead_letters_write",
            [record.place.topic for record in records],
            [record.place.partition for record in records],
            [record.offset for record in records],
            [each.stage for each in rejected],
            [each.fault for each in rejected],
        )
        found = await link.rows("dead_letters_recent", WINDOW_SECONDS)
        if found[0][0] > self._limit:
            raise Fatal(
                f"{found[0][0]} records within an hour could not be used, the limit is {self._limit}: the last one "
                f"{_where(rejected[-1])}: {rejected[-1].fault}. It was not passed over. Look at `umbra dlq list`."
            )
        await asyncio.gather(*(self._send(self._letter(each)) for each in rejected))
        for each in rejected:
            log.warning(
                "record set aside", extra={"action": "dead_letter", "where": _where(each), "reason": each.fault}
            )

    def _letter(self, rejected: Decoded) -> Message:
        record, now = rejected.record, self._clock.now()
        letter = DeadLetter(
            stage=rejected.stage,
            reason=rejected.fault or "",
            seen_at=now,
            topic=record.place.topic,
            partition=record.place.partition,
            offset=record.offset,
        )
        return events.encode(letter, source="/umbra/projector", now=now)._replace(key=record.key)


def _where(rejected: Decoded) -> str:
    record = rejected.record
    return f"{record.place.topic}/{record.place.partition} at {record.offset}"


@asynccontextmanager
async def to_topic(settings: KafkaSettings) -> AsyncIterator[Send]:
    """Writes to the dead-letter topic; Retryable while it takes nothing."""
    producer = kafka.producer(settings)
    await producer.start()

    async def send(message: Message) -> None:
        name, headers = topics.DEAD_LETTER.name, message.headers
        try:
            await producer.send_and_wait(name, message.value, key=message.key, headers=headers)
        except KafkaError as error:
            raise Retryable("the dead letters do not take a record") from error

    try:
        yield send
    finally:
        await producer.stop()
