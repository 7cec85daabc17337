"""Everything that one transaction says of what arrived: changes, statuses, holes, dead letters, and the new position.

Pure but for the schemas, which are fetched when they are not known yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from schemas import versions
from schemas.events import DeadLetter, OrderStatus, RecordChange, Watermark
from schemas.mapping import Mapping
from schemas.versions import Version
from services.ingestor import inversions, reading
from services.ingestor import position as positions
from services.ingestor.inversions import Inversions, Judged
from services.ingestor.position import Position
from services.ingestor.reading import Said
from services.salesforce.pubsub.avro import EventSchema, Undecodable
from services.salesforce.pubsub.errors import SchemaRefused
from services.salesforce.pubsub.subscription import Delivery, Fetched

AHEAD_MS = 10_000
"""Commit times come from many clocks; one that is further ahead than this is not the time of the commit."""

GetSchema = Callable[[str], Awaitable[EventSchema]]


@dataclass(slots=True)
class Batch:
    """What arrived together, in order.

    position: after all of it
    newest: by the org's clock, up to when it covers the topic; None when it holds nothing new
    went_back: deliveries of a position long passed; they are written again and move nothing
    repeated: changes delivered before; inverted, contradicted: records that were marked dirty for their versions
    unmapped: deliveries of objects that nobody asked for
    """

    position: Position
    changes: list[RecordChange] = field(default_factory=list)
    statuses: list[OrderStatus] = field(default_factory=list)
    holes: list[Watermark] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    deliveries: int = 0
    went_back: int = 0
    repeated: int = 0
    inverted: int = 0
    contradicted: int = 0
    unmapped: int = 0
    newest: datetime | None = None

    def add(self, said: Said, judged: Judged, delivery: Delivery, received: datetime, limit: Version) -> None:
        """What is known to be in the log already is counted, and neither written nor moves anything.

        Nothing is covered beyond when it was received, whatever an event says of its time.
        """
        self._count(said, judged)
        if judged.nothing_new:
            return
        self.changes += judged.changes
        self.statuses += [status for status in said.statuses if status.order_id not in judged.repeated]
        self.holes += [_not_before(hole, self.position.newest) for hole in said.holes]
        self._reach(delivery.replay_id, min(said.at, received))
        newest = inversions.newest(self.position.newest, said.changes)
        self._note(newest and inversions.capped(newest, limit))

    def _count(self, said: Said, judged: Judged) -> None:
        told_again = self.position.again_until
        again = {change.record_id for change in said.changes if told_again and change.version <= told_again}
        self.repeated += len(judged.repeated | again)
        self.inverted += judged.inverted
        self.contradicted += judged.contradicted
        self.unmapped += said.unmapped

    def _note(self, newest: Version | None) -> None:
        again = self.position.again_until
        passed = again is not None and newest is not None and newest > again
        self.position = replace(self.position, newest=newest, again_until=None if passed else again)

    def add_undecodable(self, letter: DeadLetter, holes: Iterable[Watermark], delivery: Delivery) -> None:
        """When it happened is not known; what comes after it will move the time on."""
        self.letters.append(letter)
        self.holes += holes
        if delivery.replay_id:
            self.position = replace(self.position, replay_id=delivery.replay_id.hex())

    def add_quiet(self, latest: bytes, until: datetime) -> None:
        self._reach(latest, until)

    def _reach(self, replay_id: bytes, at: datetime) -> None:
        self.went_back += positions.went_back(self.position, at)
        self.position = positions.advanced(self.position, replay_id, at)
        self.newest = at if self.newest is None else max(self.newest, at)


@dataclass(frozen=True, slots=True)
class Reader:
    """Turns what arrived on one topic into batches."""

    salesforce_topic: str
    mapping: Mapping
    schema: GetSchema
    order: Inversions = field(default_factory=Inversions)

    async def read(self, arrived: Iterable[Fetched], start: Position, now: datetime) -> Batch:
        """Raises what fetching a schema raises, but for a schema that Salesforce does not give out."""
        batch = Batch(start)
        for fetched in arrived:
            batch.deliveries += len(fetched.deliveries)
            for delivery in fetched.deliveries:
                await self._add(batch, delivery, fetched.received_ms, now)
            if not fetched.deliveries:
                batch.add_quiet(fetched.latest, versions.moment(fetched.received_ms))
        return batch

    async def _add(self, batch: Batch, delivery: Delivery, received_ms: int, now: datetime) -> None:
        try:
            schema = await self.schema(delivery.schema_id)
            said = reading.read(delivery, schema, self.salesforce_topic, self.mapping)
        except (Undecodable, SchemaRefused) as error:
            letter = self._letter(delivery, batch.position, str(error), versions.moment(received_ms))
            batch.add_undecodable(letter, self._holes(letter, batch.position), delivery)
        else:
            limit = versions.event_version(max(received_ms, versions.millis(now)) + AHEAD_MS, 0, 0)
            judged = self.order.judge(said.changes, limit)
            batch.add(said, judged, delivery, versions.moment(received_ms), limit)

    def _letter(self, delivery: Delivery, before: Position, why: str, seen_at: datetime) -> DeadLetter:
        return DeadLetter(
            stage="decode",
            reason=why,
            seen_at=seen_at,
            topic=self.salesforce_topic,
            replay_id=delivery.replay_id.hex(),
            before_replay_id=before.replay_id,
            schema_id=delivery.schema_id,
        )

    def _holes(self, letter: DeadLetter, before: Position) -> Iterator[Watermark]:
        """From the event before it to now: its own time is among what cannot be read, and on a channel its object."""
        for entity in reading.objects_of(self.salesforce_topic):
            yield Watermark(
                object=entity,
                basis="hole",
                origin="cdc",
                hole_id=hole_id(letter),
                hole_from=None if before.event_at is None else positions.covered_until(before.event_at),
                hole_to=letter.seen_at,
                reason="undecodable",
            )


def hole_id(letter: DeadLetter) -> str:
    """Of the hole that an undecodable event leaves.

    Where it came without a position, the one before it and its time name it: a hole that was closed stays closed, and
    another event may come after the same position.
    """
    after = f"after-{letter.before_replay_id}:{versions.millis(letter.seen_at)}"
    return f"undecodable:{letter.replay_id or after}"


def _not_before(hole: Watermark, newest: Version | None) -> Watermark:
    """Clocks disagree: what closes a hole must be above all that was delivered before it, so it ends no earlier."""
    if newest is None or hole.hole_to is None:
        return hole
    return msgspec.structs.replace(hole, hole_to=max(hole.hole_to, versions.moment(versions.at_ms(newest))))
