"""An ingestor without sockets, that does what `protocols.md` asks of its readers, with the services' own pure parts.

It decodes what the topics hold, reads by the obligations, and writes a log of messages; what it knows is the join of
that log. Its idea of the org's clock is wrong by up to a second; rows of a long read are taken at different moments.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sandbox.salesforce.driver.inprocess import Played
from sandbox.salesforce.eventbus import Topic
from sandbox.salesforce.schema import Record
from schemas import events, join, versions
from schemas.events import RecordChange, Watermark
from schemas.join import State
from schemas.versions import Version
from services.ingestor import openings
from services.ingestor.batch import Batch, Reader
from services.ingestor.inversions import Inversions
from services.ingestor.jobs import holes, window
from services.ingestor.jobs.holes import Hole
from services.ingestor.position import Position
from services.ingestor.repair import byid
from services.salesforce import canonical, changes
from services.salesforce.pubsub import avro
from services.salesforce.pubsub.subscription import Delivery, Fetched
from services.salesforce.rest import Retrieved
from tests.histories.mapped import MAPPING, OBJECTS, as_rest
from tests.histories.truth import EMPTY, Key, Truth

CLOCK_MS = 1_000
"""How wrong our idea of the org's clock may be."""
_ROOM_MS = 10
"""Less than that, so that a read may take the next free number: no two share one."""
LATE_MS = versions.LATE_VISIBILITY_MS
T = TypeVar("T")
_SCHEMAS: dict[str, avro.EventSchema] = {}


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of something that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits")


@dataclass(slots=True)
class Stream:
    position: Position
    reader: Reader
    cursor: int | None = None
    """How far this subscription has come; None before it has begun."""
    cuts: int = 0


@dataclass(slots=True, kw_only=True)
class Job:
    """A read under way. since: of a delta; None for a full read. next_ms: where the delta after it begins."""

    object: str
    r0_ms: int
    early: dict[str, dict[str, Any]]
    since: int | None = None
    next_ms: int = 0
    closes: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{'full' if self.since is None else 'delta'}:{self.object}:{self.r0_ms}"


@dataclass(slots=True)
class Asked:
    """`updated` has been asked; the read may begin from then on, by our clock."""

    since: int
    next_ms: int
    read_from_ms: int


@dataclass(slots=True)
class Ingest:
    played: Played
    truth: Truth
    rng: random.Random
    margin_ms: int
    log: list[RecordChange] = field(default_factory=list)
    known: dict[Key, State] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    holes: dict[str, dict[str, Watermark]] = field(default_factory=lambda: defaultdict(dict))
    starts: dict[str, int] = field(default_factory=dict)
    ended: dict[Version, int] = field(default_factory=dict)
    """By version of a read: when it was done, by the true clock."""
    full_reads: dict[str, tuple[Job, frozenset[str]]] = field(default_factory=dict)
    copied: dict[str, int] = field(default_factory=dict)
    """When the first full read of each object was done."""
    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _starts: set[int] = field(default_factory=set)
    claims_by_stamp: bool = True
    """Whether what stamps tell is all there is: nothing derived, nothing deleted for good since the last full read."""

    # Time

    def now_ms(self) -> int:
        return self.played.clock.now_ms()

    def measured_ms(self) -> int:
        """When a read begins, by our idea of the org's clock."""
        most = CLOCK_MS - _ROOM_MS
        return self.now_ms() + self.rng.choice((-CLOCK_MS, 0, most, self.rng.randint(-CLOCK_MS, most)))

    def _own(self, r0_ms: int) -> int:
        """The start of a read, its own: two reads of one record with one version would be two values of it."""
        while r0_ms in self._starts:
            r0_ms += 1
        self._starts.add(r0_ms)
        return r0_ms

    def wait(self, ms: int) -> None:
        self.played.clock.advance(max(0, ms))
        self.played.org.settle()

    # The log

    def write(self, messages: Iterable[RecordChange]) -> None:
        for message in messages:
            self.log.append(message)
            key = (message.object, message.record_id)
            self.known[key] = join.join(self.known.get(key, EMPTY), join.state_of(message))

    # Streams

    def subscribe(self, *, from_now: bool) -> None:
        """The first start of every stream, from the earliest, or of entities that were selected just before."""
        for topic in self.played.org.bus.topics.values() if from_now else ():
            self.played.org.cut(topic, topic.tip())
        self.wait(LATE_MS + 1)
        for object_name in OBJECTS:
            topic_name = f"/data/{object_name}ChangeEvent"
            now = versions.moment(self.now_ms())
            self._open(topic_name, openings.first_start(topic_name, self.now_ms(), now))
            self.consume(topic_name, 1)  # until it has a position, a log that is cut would not be noticed

    def _open(self, topic: str, opening: openings.Opening) -> None:
        first = events.decode_change(opening.records[0].message.value)
        if isinstance(first, Watermark) and first.hole_id is not None:
            self.holes[first.object][first.hole_id] = first
        reader = Reader(topic, MAPPING, self._schema, Inversions(opening.position.newest))
        self.streams[topic] = Stream(opening.position, reader)

    async def _schema(self, schema_id: str) -> avro.EventSchema:
        if schema_id not in _SCHEMAS:
            _SCHEMAS[schema_id] = avro.parse(schema_id, self.played.org.publisher.schemas[schema_id])
        return _SCHEMAS[schema_id]

    def consume(self, name: str, most: int) -> bool:
        """One response of a topic, of up to so many events; whether there were any."""
        org, stream = self.played.org, self.streams[name]
        org.settle()
        topic = org.bus.topics[name]
        org.refresh_tip(topic)
        if stream.cuts != topic.cuts:
            stream.cursor = None  # the org ended the stream
        if stream.cursor is None and not self._connected(stream, topic):
            self._heal(name)
            return True
        found = topic.after(stream.cursor or 0, most)
        latest = org.replay.encode(found[-1].number if found else topic.tip())
        deliveries = tuple(Delivery(org.replay.encode(e.number), e.schema_id, e.payload) for e in found)
        # What tells the time of a response is a lower bound.
        received = self.now_ms() - self.rng.choice((0, CLOCK_MS))
        batch = at_once(stream.reader.read([Fetched(deliveries, latest, received)], stream.position, self._moment()))
        self._take(stream, batch)
        stream.cursor = found[-1].number if found else topic.tip()
        return bool(found)

    def _connected(self, stream: Stream, topic: Topic) -> bool:
        """Where the subscription begins; False for a position that the org does not know."""
        after = stream.position.after
        stream.cuts = topic.cuts
        stream.cursor = topic.before_first() if after is None else self.played.org.replay.decode(after)
        return after is None or (stream.cursor is not None and topic.knows(stream.cursor))

    def disconnect(self, name: str) -> None:
        self.streams[name].cursor = None

    def _moment(self) -> Any:
        return versions.moment(self.now_ms())

    def _take(self, stream: Stream, batch: Batch) -> None:
        stream.position = batch.position
        self.counts["repeated"] += batch.repeated
        self.counts["inverted"] += batch.inverted
        self.faults += [f"cannot be decoded: {letter.reason}" for letter in batch.letters]
        for hole in batch.holes:
            self.holes[hole.object][str(hole.hole_id)] = hole
        self.write(batch.changes)

    def _heal(self, name: str) -> None:
        self.counts["healed"] += 1
        stream, now = self.streams[name], self.now_ms()
        self._open(name, openings.healed(name, stream.position, "corrupted", now, versions.moment(now)))
        self.consume(name, 1)

    # Reads by id

    def due(self) -> dict[Key, Version]:
        return {key: state.dirty for key, state in self.known.items() if state.is_dirty and state.dirty is not None}

    def read_by_id(self, object_name: str, ids: Iterable[str], r0_ms: int) -> None:
        """What is not alive is absent."""
        org, r0_ms = self.played.org, self._own(r0_ms)
        found = {i: org.store.live(object_name, i) for i in ids}
        records = {i: as_rest(org, object_name, record) for i, record in found.items() if record is not None}
        missing = [i for i in found if i not in records]
        answer = byid.answer(MAPPING.objects[object_name], Retrieved(records, missing, r0_ms), self.margin_ms)
        assert answer.version is not None  # of a read that was answered
        self._done(answer.version)
        self.write([*answer.found, *answer.absent])

    def _done(self, version: Version) -> None:
        self.ended[version] = self.now_ms()

    def repair(self, key: Key, mark: Version) -> None:
        """A read that proves what it is for: it waits until it does."""
        due = versions.proves(versions.at_ms(mark), self.margin_ms)
        r0 = self.measured_ms()
        if r0 < due:
            self.wait(due - r0)
            r0 = due
        self.counts["repaired"] += 1
        self.read_by_id(key[0], [key[1]], r0)

    # Reads of a whole object, and by stamps

    def full(self, object_name: str, since: int | None = None, next_ms: int = 0) -> Job:
        rows = self._rows(object_name, since)
        return Job(object=object_name, r0_ms=self._own(self.measured_ms()), early=rows, since=since, next_ms=next_ms)

    def _rows(self, object_name: str, since: int | None) -> dict[str, dict[str, Any]]:
        org = self.played.org
        records: Iterable[Record] = org.store.tables[object_name].records.values()
        found = (r for r in records if since is None or int(r["SystemModstamp"] or 0) >= since)
        return {str(record["Id"]): as_rest(org, object_name, record) for record in found}

    def ask(self, object_name: str) -> Asked:
        """`updated`, and when the read may begin."""
        org, now = self.played.org, self.now_ms()
        fitting = [h for h in self._open_holes(object_name) if window.fitting(h)]
        since = window.of(self.starts[object_name], fitting, now).since_ms
        covered = min(now, org.earliest_open_ms()) // 1000 * 1000
        ends = [versions.proves(versions.millis(h.until), self.margin_ms) for h in fitting if h.until is not None]
        return Asked(since, window.next_start(covered, covered), max([now + self.margin_ms, *ends]))

    def delta(self, object_name: str, asked: Asked) -> Job:
        """The read begins at least M after the answer, by whichever clock is later."""
        self.wait(asked.read_from_ms - self.now_ms())
        self.wait(asked.read_from_ms - (r0 := self.measured_ms()))
        rows = self._rows(object_name, asked.since)
        r0 = self._own(max(r0, asked.read_from_ms))
        return Job(object=object_name, r0_ms=r0, early=rows, since=asked.since, next_ms=asked.next_ms)

    def finish(self, job: Job) -> None:
        """Each row is as it was at the beginning, or as it is now; then what the read did not show, and the end."""
        late = self._rows(job.object, job.since)
        ids = sorted({*job.early, *late})
        chosen = ((job.early if self.rng.random() < 0.5 else late).get(i) for i in ids)
        rows = [row for row in chosen if row is not None]
        self._done(versions.read_version(job.r0_ms, self.margin_ms))
        self.write(self._snapshot(job, row) for row in rows)
        if job.since is None:
            self.full_reads[job.object] = (job, frozenset(str(row["Id"]) for row in rows))
            self.anti_join(job.object)
            self.copied.setdefault(job.object, self.now_ms())
            self.starts[job.object] = max(
                self.starts.get(job.object, 0), job.r0_ms - self.margin_ms - window.LONGEST_TRANSACTION_MS
            )
        else:
            self.starts[job.object] = max(self.starts[job.object], job.next_ms)
        self._close(job)
        self._claim(job)

    def _snapshot(self, job: Job, row: dict[str, Any]) -> RecordChange:
        mapping = MAPPING.objects[job.object]
        record = canonical.from_rest(mapping, row)
        origin: Any = "backfill" if job.since is None else "delta"
        return changes.snapshot(
            mapping, record, r0_ms=job.r0_ms, origin=origin, margin_ms=self.margin_ms, job_id=job.id
        )

    def anti_join(self, object_name: str) -> None:
        """Alive by nothing as new as the newest full read, and not in it.

        Done once more when the stream has passed the read's beginning: an event that came after it may be older.
        """
        job, seen = self.full_reads[object_name]
        version = versions.read_version(job.r0_ms, self.margin_ms)
        for (name, record_id), state in list(self.known.items()):
            alive_by = state.version(join.ALIVE)
            older = alive_by is None or alive_by < version
            if name == object_name and record_id not in seen and not state.deleted and older:
                gone = changes.absent(
                    object_name, record_id, r0_ms=job.r0_ms, origin="backfill", margin_ms=self.margin_ms
                )
                self.write([gone])

    def _open_holes(self, object_name: str) -> list[Hole]:
        return [Hole(str(h.hole_id), h.hole_to, h.hole_from) for h in self.holes[object_name].values()]

    def _close(self, job: Job) -> None:
        for hole in self._open_holes(job.object):
            fits = job.since is None or (window.fitting(hole) and job.since <= window.since_of(hole))
            if fits and holes.closable(hole, job.r0_ms, self.margin_ms):
                del self.holes[job.object][hole.id]

    def _claim(self, job: Job) -> None:
        """What the ledger says with the job's end has to be true."""
        # A commit that is reported late by a clock ahead is above a read that has later ones: until those arrive, which
        # marks the record, the row may show it. What is proven is as exact as the clocks of Salesforce's servers.
        until = self.proven_until(job) - self.played.org.oddities.clock_skew_ms[1]
        if job.since is None or self.claims_by_stamp:
            self.counts["claims"] += 1
            self.faults += [f"{job.id}: {why}" for why in self.truth.overclaimed(job.object, until, self.known)]

    def proven_until(self, job: Job) -> int:
        return versions.proven_until(job.r0_ms, self.margin_ms)

    def remedy(self, object_name: str) -> None:
        """Whatever closes the object's holes."""
        opened = self._open_holes(object_name)
        if all(window.fitting(hole) for hole in opened):
            self.finish(self.delta(object_name, self.ask(object_name)))
            return
        ends = [versions.proves(versions.millis(h.until), self.margin_ms) for h in opened if h.until is not None]
        self.wait(max([*ends, 0]) + CLOCK_MS - self.now_ms())
        self.finish(self.full(object_name))
