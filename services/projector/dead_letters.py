"""Where records go that can never be used: a row in the transaction that moves past them, a letter to the topic.

What was committed in them is a hole of the object until a read closes it. The row makes it once, and counts over
restarts, so that a worker past its limit stays stopped instead of emptying a topic into the dead letters. The letter is
written before the offset moves: at least once, and its id names the record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
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
_READS = frozenset({"backfill", "delta", "repair"})


class _Said(msgspec.Struct):
    """What a record still tells that does not fit otherwise."""

    origin: str | None = None


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
        await _open_holes(link, rejected)
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


async def _open_holes(link: Link, rejected: Sequence[Decoded]) -> None:
    """Not of what a read said: its own end then proves nothing, and as a hole of its own it would be read for ever."""
    told = [each for each in rejected if _origin(each.record.value) not in _READS]
    await link.rows(
        "letters_open",
        [each.record.place.topic for each in told],
        [each.record.place.partition for each in told],
        [each.record.offset for each in told],
        [each.fault for each in told],
    )


def _origin(value: bytes | None) -> str | None:
    try:
        return None if value is None else msgspec.json.decode(value, type=_Said).origin
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


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
