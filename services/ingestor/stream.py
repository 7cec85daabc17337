"""One Salesforce topic into the log: what arrives is committed with its position, and only then is more asked for.

A connection that ends is opened again at the committed position. An Abandoned goes up to the owner, who throws this
stream away and reads everything again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Never

from schemas import topics
from schemas.events import Checkpoint, Watermark
from schemas.mapping import Mapping
from services.ingestor import openings, outgoing, reading, watchdog
from services.ingestor import position as positions
from services.ingestor.batch import Batch, Reader
from services.ingestor.inversions import Inversions
from services.ingestor.marks import Marks
from services.ingestor.metrics import Metrics
from services.ingestor.openings import Opening
from services.ingestor.outgoing import Record
from services.ingestor.pauses import Pauses
from services.ingestor.position import Position
from services.ingestor.settings import StreamSettings
from services.ingestor.transactions import Transactions
from services.ingestor.watchdog import Silent
from services.kernel.clock import Clock
from services.kernel.errors import Fatal
from services.kernel.health import Gate
from services.kernel.retry import Backoff
from services.salesforce.errors import SalesforceError
from services.salesforce.pubsub.avro import EventSchema, SchemaCache, Undecodable
from services.salesforce.pubsub.client import PubSub
from services.salesforce.pubsub.errors import ReplayRejected, SchemaRefused, TopicRefused
from services.salesforce.pubsub.subscription import MOST_CREDIT, Subscription

log = logging.getLogger(__name__)

SETTLED_SECONDS = 0.25
"""A subscription that was not refused by then is established: on a quiet topic nothing comes for a minute."""
_REJECTIONS = 2
"""Times in a row that a position has to be unknown before it is given up."""
LONG_LIFE_SECONDS = 10.0
"""A stream that lived so long was well: the pauses before the next ones begin small again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What all streams of a process share."""

    pubsub: PubSub
    schemas: SchemaCache
    mapping: Mapping
    settings: StreamSettings
    metrics: Metrics
    clock: Clock


class Stream:
    """The work of one owner of one topic, from a stored checkpoint on."""

    def __init__(self, topic: str, source: Source, transactions: Transactions, gate: Gate) -> None:
        self._topic = topic
        self._source = source
        self._transactions = transactions
        self._gate = gate
        self._metrics = source.metrics
        self._reader = Reader(topic, source.mapping, self._schema)
        self._in_hand = 0
        self._rejected = 0
        self._marks = [Marks(name) for name in reading.objects_of(topic)]
        self._pauses = Pauses()
        self._position = positions.Position()
        self._undecodable = 0

    async def follow(self, checkpoint: Checkpoint | None) -> Never:
        """Until cancelled. Raises Abandoned, and Fatal past the limit of dead letters."""
        self._stand_at(positions.of(checkpoint))
        if checkpoint is None:
            await self._first_start()
        while True:
            try:
                await self._connected()
            except ReplayRejected as error:
                await self._heal(error)
            except (SalesforceError, Silent) as error:
                await self._pause(error)

    async def _first_start(self) -> None:
        """The org has to tell the time before anything can be said of it."""
        while True:
            try:
                await self._checked_topic()
                break
            except SalesforceError as error:
                await self._pause(error)
        org_now, now = self._source.pubsub.org_clock.now_ms(), self._source.clock.now()
        await self._open(openings.first_start(self._topic, org_now, now))
        log.info("first start, from the earliest", extra={"action": "first_start", "topic": self._topic})

    async def _open(self, opening: Opening) -> None:
        await self._transactions.commit(opening.records)
        self._stand_at(opening.position)

    def _stand_at(self, position: Position) -> None:
        """Of what lies before a position only its greatest version is known."""
        self._position = position
        self._reader = Reader(self._topic, self._source.mapping, self._schema, Inversions(position.newest))

    async def _connected(self) -> Never:
        await self._checked_topic()
        pubsub = self._source.pubsub
        async with pubsub.subscribed(self._topic, self._position.after, MOST_CREDIT) as subscription:
            began = self._source.clock.monotonic()
            settled = asyncio.get_running_loop().call_later(SETTLED_SECONDS, self._gate.open)
            try:
                while True:
                    await self._next(subscription)
                    if self._source.clock.monotonic() - began > LONG_LIFE_SECONDS:
                        self._pauses.reset()
            finally:
                settled.cancel()
                self._metrics.overlap.labels(self._topic).inc(subscription.held + self._in_hand)
                self._in_hand = 0

    async def _checked_topic(self) -> None:
        """One call that names a topic we may not read, and fetches the schema before the first event needs it."""
        topic = await self._source.pubsub.topic(self._topic)
        if not topic.can_subscribe:
            raise TopicRefused("topic.cannot.subscribe", f"{self._topic} cannot be subscribed to")
        if topic.schema_id:
            try:
                await self._source.schemas.get(topic.schema_id)
            except (SchemaRefused, Undecodable) as error:
                log.warning("schema of a topic cannot be used", extra={"action": "schema", "why": str(error)})

    async def _next(self, subscription: Subscription) -> None:
        """Step 5: a batch is what has arrived; commit it, then ask for as much again."""
        settings = self._source.settings
        arrived = await watchdog.heard(
            subscription.receive(),
            warn=settings.stream_silent_warn_seconds,
            tear=settings.stream_silent_seconds,
            name=self._topic,
        )
        received = self._source.clock.monotonic()
        self._gate.open()
        self._rejected = 0
        self._in_hand = sum(len(fetched.deliveries) for fetched in arrived)
        batch = await self._reader.read(arrived, self._position, self._source.clock.now())
        await self._commit(batch)
        self._in_hand = 0
        if batch.deliveries:
            self._metrics.commits.labels(self._topic).observe(self._source.clock.monotonic() - received)
            await subscription.ask(batch.deliveries)

    async def _commit(self, batch: Batch) -> None:
        monotonic = self._source.clock.monotonic()
        due = [(of, of.due(batch.newest, batch.position, monotonic)) for of in self._marks]
        marks = [(of, mark) for of, mark in due if mark is not None]
        records = list(self._records(batch, [mark for _, mark in marks], self._source.clock.now()))
        if records:
            await self._transactions.commit(records)
        self._position = batch.position
        for of, mark in marks:
            of.written(mark, self._source.clock.monotonic())
        self._metrics.committed(self._topic, batch, self._source.pubsub.org_clock.now_ms())
        if marks:
            self._metrics.covers(self._topic, marks[0][1])
        self._limit_dead_letters(batch)

    def _records(self, batch: Batch, marks: Sequence[Watermark], now: datetime) -> Iterator[Record]:
        """The position last: it is of all that stands before it."""
        yield from (outgoing.change(change, now) for change in batch.changes)
        yield from (outgoing.status(status, now) for status in batch.statuses)
        yield from (outgoing.dead_letter(letter, now) for letter in batch.letters)
        for watermark in (*batch.holes, *marks):
            yield from outgoing.watermark(watermark, now)
        if batch.position != self._position:
            at = batch.position
            yield outgoing.checkpoint(at.checkpoint(self._topic, now), topics.checkpoint_partition(self._topic), now)

    def _limit_dead_letters(self, batch: Batch) -> None:
        """Stop instead of emptying a topic into the dead letters: then not the events are wrong, but we are."""
        if batch.letters:
            log.warning(
                "events could not be decoded",
                extra={"action": "dead_letter", "topic": self._topic, "why": batch.letters[-1].reason},
            )
        good = batch.deliveries > len(batch.letters)
        self._undecodable = len(batch.letters) if good else self._undecodable + len(batch.letters)
        limit = self._source.settings.stream_dead_letters
        if self._undecodable > limit:
            raise Fatal(f"more than {limit} events of {self._topic} in a row could not be decoded")

    async def _heal(self, error: ReplayRejected) -> None:
        """Asked twice: the earliest costs the deliveries of up to three days, and a hole."""
        self._rejected += 1
        if self._position.replay_id is None or self._rejected < _REJECTIONS:
            await self._pause(error)
            return
        self._rejected = 0
        org_now, now = self._source.pubsub.org_clock.now_ms(), self._source.clock.now()
        await self._open(openings.healed(self._topic, self._position, error.code, org_now, now))
        self._metrics.heals.labels(self._topic).inc()
        log.warning(
            "position is no longer known, from the earliest",
            extra={"action": "heal", "topic": self._topic, "why": error.code},
        )

    async def _pause(self, error: SalesforceError | Silent) -> None:
        reason = getattr(error, "code", type(error).__name__)
        self._metrics.disconnects.labels(self._topic, reason).inc()
        self._gate.close(f"{self._topic}: {error}")
        seconds = self._pauses.after(error)
        level = logging.ERROR if isinstance(error, TopicRefused) else logging.WARNING
        log.log(
            level,
            "stream ended",
            extra={"action": "stream_ended", "topic": self._topic, "why": str(error), "again_in": round(seconds, 2)},
        )
        await asyncio.sleep(seconds)

    async def _schema(self, schema_id: str) -> EventSchema:
        """A batch in hand is parked until Salesforce gives out its schema: dropped, its events would have to be
        delivered again, and no more of them are asked for. Raises SchemaRefused and Undecodable."""
        parked = Backoff(first=0.1, longest=10.0)
        while True:
            try:
                found = await self._source.schemas.get(schema_id)
            except SchemaRefused:
                raise
            except SalesforceError as error:
                self._metrics.parked.labels(self._topic).inc()
                self._gate.close(f"{self._topic}: waiting for a schema: {error}")
                await asyncio.sleep(parked.next())
            else:
                self._gate.open()
                return found
