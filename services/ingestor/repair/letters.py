"""Dead letters of the stream: what became of each, and how one is fetched again while Salesforce still keeps it.

A letter is never changed: what a person does about it is another one on the same event. So the topic alone says what
is open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from aiokafka.structs import TopicPartition
from msgspec.structs import replace

from schemas import events, topics
from schemas.events import DeadLetter, Watermark
from schemas.mapping import Mapping
from services.ingestor import batch, outgoing, reading, transactions
from services.ingestor.outgoing import Record
from services.ingestor.reading import Said
from services.kernel import kafka
from services.kernel.clock import Clock
from services.kernel.settings import KafkaSettings
from services.salesforce.pubsub.avro import SchemaCache, Undecodable
from services.salesforce.pubsub.client import PubSub
from services.salesforce.pubsub.errors import ReplayRejected, SchemaRefused
from services.salesforce.pubsub.subscription import Delivery

KEPT = timedelta(hours=72)
"""For which Salesforce keeps an event."""
TRANSACTIONAL_ID = transactions.id_of("dlq")
_ARRIVES_SECONDS = 30.0
_POLL_MS = 200

State = Literal["open", "retried", "dropped"]


class Unresolved(Exception):
    """The letter stays open; the message says why, in words."""


@dataclass(frozen=True, slots=True)
class Case:
    """All letters on one record. times: that it could not be used; said: what the person said who dropped it"""

    id: str
    letter: DeadLetter
    state: State
    times: int
    said: str | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """What an event said the second time."""

    changes: int
    statuses: int
    closed: tuple[str, ...]


def id_of(letter: DeadLetter) -> str:
    """The event or record that a letter is about, as a person names it."""
    if letter.offset is not None:
        return f"{letter.topic}:{letter.partition}:{letter.offset}"
    return f"{letter.topic}:{letter.replay_id or f'after-{letter.before_replay_id}'}"


def cases(letters: Iterable[DeadLetter]) -> list[Case]:
    """In the order in which they were first seen. The last word counts: what was set right may fail again."""
    found: dict[str, Case] = {}
    for letter in letters:
        key = id_of(letter)
        known = found.get(key)
        if letter.resolution is None:
            again = known is not None and letter.offset is None  # a record of the log is in two lists, not twice
            found[key] = Case(key, letter, "open", known.times + 1 if known and again else 1)
        elif known is not None:
            found[key] = Case(key, known.letter, letter.resolution, known.times, letter.reason)
    return list(found.values())


async def read(settings: KafkaSettings) -> list[DeadLetter]:
    """Every letter in the topic up to now, committed ones only."""
    place = TopicPartition(topics.DEAD_LETTER.name, 0)
    consumer = kafka.consumer(settings, fetch_max_wait_ms=50)
    await consumer.start()
    try:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        await consumer.seek_to_beginning(place)
        found: list[DeadLetter] = []
        while await consumer.position(place) < end:
            records = (await consumer.getmany(place, timeout_ms=_POLL_MS)).get(place, [])
            found += [events.decode_dead_letter(record.value) for record in records]
        return found
    finally:
        await consumer.stop()


async def fetch(pubsub: PubSub, letter: DeadLetter) -> Delivery:
    """The letter's event once more: one delivery of the daily allowance. Raises Unresolved, and what streams raise."""
    after = bytes.fromhex(letter.before_replay_id) if letter.before_replay_id else None
    try:
        async with pubsub.subscribed(letter.topic, after, 1) as subscription, asyncio.timeout(_ARRIVES_SECONDS):
            fetched = await subscription.receive()
    except ReplayRejected as error:
        raise Unresolved(f"Salesforce keeps it no more: {error.code}") from error
    except TimeoutError as error:
        raise Unresolved(f"nothing came within {_ARRIVES_SECONDS:.0f} s") from error
    delivery = next((delivery for some in fetched for delivery in some.deliveries), None)
    if delivery is None or (letter.replay_id and delivery.replay_id.hex() != letter.replay_id):
        raise Unresolved("another event stands there now: Salesforce keeps this one no more")
    return delivery


async def decoded(pubsub: PubSub, mapping: Mapping, letter: DeadLetter, delivery: Delivery) -> Said:
    """Raises Unresolved where it still cannot be read."""
    try:
        schema = await SchemaCache(pubsub.schema).get(delivery.schema_id)
        return reading.read(delivery, schema, letter.topic, mapping)
    except (Undecodable, SchemaRefused) as error:
        raise Unresolved(f"it still cannot be decoded: {error}") from error


async def write(settings: KafkaSettings, clock: Clock, case: Case, said: Said) -> Retried:
    """Its changes, the end of its hole and the letter's end, in one transaction. Raises Unresolved, Abandoned."""
    closed = sorted({hole for mark in _closed(case.letter) for hole in mark.closes})
    async with transactions.opened(settings, TRANSACTIONAL_ID) as held:
        # Whoever held the id before is fenced now, and all that it wrote can be seen.
        await _require_open(settings, case)
        await held.commit(_records(case.letter, said, clock))
    return Retried(len(said.changes), len(said.statuses), tuple(closed))


async def drop(settings: KafkaSettings, clock: Clock, case: Case, reason: str) -> None:
    """Nothing will be done about it. Its hole stays open until a read closes it. Raises Unresolved, Abandoned."""
    async with transactions.opened(settings, TRANSACTIONAL_ID) as held:
        await _require_open(settings, case)
        await held.commit([_resolved(case.letter, "dropped", reason, clock)])


async def _require_open(settings: KafkaSettings, case: Case) -> None:
    found = {known.id: known.state for known in cases(await read(settings))}
    if found.get(case.id, "open") != "open":
        raise Unresolved(f"it is {found[case.id]} already")


def _records(letter: DeadLetter, said: Said, clock: Clock) -> list[Record]:
    now = clock.now()
    records = [outgoing.change(change, now) for change in said.changes]
    records += [outgoing.status(status, now) for status in said.statuses]
    for mark in (*said.holes, *_closed(letter)):
        records += outgoing.watermark(mark, now)
    return [*records, _resolved(letter, "retried", "fetched again", clock)]


def _closed(letter: DeadLetter) -> Iterator[Watermark]:
    """The end of the holes that it left."""
    hole = batch.hole_id(letter)
    for entity in reading.objects_of(letter.topic):
        yield Watermark(object=entity, basis="delta", origin="repair", job_id=f"dlq:{hole}", closes=(hole,))


def _resolved(letter: DeadLetter, what: Literal["retried", "dropped"], reason: str, clock: Clock) -> Record:
    return outgoing.dead_letter(replace(letter, resolution=what, reason=reason, seen_at=clock.now()), clock.now())
