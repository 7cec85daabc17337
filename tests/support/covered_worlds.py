"""Random histories of a few records, and the log that a faithful ingest makes of them: events, jobs, their watermarks.

Events are lost silently, transactions run long and take their stamps early, reads take their time, jobs end without
an end. Some changes move no stamp, and of these the stream knows only when. What is kept is what the jobs promise:
when they begin, since when they read, and what their end then claims.
`Faults` breaks one of these promises at a time, to see that somebody notices.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from schemas import topics, versions
from schemas.events import RecordChange, Watermark
from schemas.join import ALIVE, State, join, state_of
from services.kernel.kafka import partition_of
from services.projector import spans
from tests.support import ranges
from tests.support.ranges import Ranges
from tests.support.worlds import CLOCK, EARLY, MARGIN, VISIBILITY, corner

OBJECT = "Product2"
PARTITIONS = topics.PRODUCT.partitions
START = 1_793_588_645_000
SPAN = 900_000
LONGEST = 60_000
NEVER = 10**15
FIELDS = ("Name", "Item_Class__c", "Plan_Tier__c")
Said = RecordChange | Watermark


@dataclass(frozen=True, slots=True)
class Faults:
    """Promises that a job may break. until_end: claims up to its own start; bounded: reads with an upper bound (C13);
    asked_late: asks for the next start when it reads; early_end: ends before its last records; short: begins at the
    last one's claim; untold: changes without a stamp leave no hole"""

    until_start: bool = False
    bounded: bool = False
    asked_late: bool = False
    early_end: bool = False
    short: bool = False
    untold: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """silent: it moved no stamp, and its event does not say which record it was"""

    record: str
    begun_ms: int
    stamp_ms: int
    true_ms: int
    reported_ms: int
    visible_ms: int
    number: int
    kind: str
    fields: Mapping[str, Any]
    after: Mapping[str, Any]
    silent: bool = False


@dataclass(slots=True)
class World:
    """log: of each partition, in its order"""

    commits: list[Commit]
    log: list[list[Said]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])


def make(rng: random.Random, ids: Sequence[str], faults: Faults = Faults(), silent: float = 0.0) -> World:
    """silent: share of the updates that move no stamp"""
    commits = [commit for record in ids for commit in _history(rng, record, silent)]
    timed: list[tuple[int, int, Said]] = []
    told = [commit for commit in commits if not commit.silent and rng.random() > 0.3]
    timed += [(commit.visible_ms + rng.randint(0, 2_000), 0, _event(commit)) for commit in told]
    # A stream that is seconds behind has told of such a commit before a read that begins M later can end.
    holes = [(c.visible_ms + rng.randint(0, 500), c) for c in commits if c.silent and not faults.untold]
    timed += [(moment, 0, _hole(commit)) for moment, commit in holes]
    timed += _Jobs(rng, commits, ids, faults, holes).run()
    world = World(commits)
    for _, _, said in sorted(timed, key=lambda each: each[:2]):
        places = range(PARTITIONS) if isinstance(said, Watermark) else [partition_of(said.record_id, PARTITIONS)]
        for partition in places:
            world.log[partition].append(said)
    return world


def _history(rng: random.Random, record: str, share: float) -> list[Commit]:
    commits: list[Commit] = []
    whole, now, reported = rng.random() < 0.6, START + rng.randint(0, SPAN // 2), 0
    after: dict[str, Any] = {}
    for index in range(rng.randint(1, 5)):
        begun = now + rng.choice((0, rng.randint(0, 20_000), rng.randint(0, 200_000))) if index else now
        now = begun + rng.choice((0, 50, rng.randint(0, 10_000), LONGEST))
        kind = "create" if index == 0 else rng.choice(("update", "update", "update", "delete"))
        kind = "undelete" if after.get(ALIVE) else kind
        fields = _fields(rng, kind, index, after)
        after = {**after, **fields, ALIVE: kind == "delete"}
        early = now - corner(rng, EARLY)
        reported = max(reported, early // 1000 * 1000 if whole else early)
        silent = kind == "update" and share > 0 and rng.random() < share
        stamp = rng.choice((begun, now, rng.randint(begun, now))) // 1000 * 1000
        stamp = commits[-1].stamp_ms if silent else stamp
        visible = now + corner(rng, VISIBILITY)
        commits.append(
            Commit(record, begun, stamp, now, reported, visible, index + 1, kind, fields, dict(after), silent)
        )
        now += 1
    return commits


def _fields(rng: random.Random, kind: str, index: int, after: Mapping[str, Any]) -> dict[str, Any]:
    match kind:
        case "create":
            return {name: f"{name}{index}" for name in FIELDS}
        case "undelete":
            return {name: after[name] for name in FIELDS}
        case "update":
            return {name: f"{name}{index}" for name in rng.sample(FIELDS, rng.randint(1, 2))}
        case _:
            return {}


def _event(commit: Commit) -> RecordChange:
    kind: Any = commit.kind
    version = versions.event_version(commit.reported_ms, commit.number, 1)
    told = dict(commit.fields)
    return RecordChange(kind=kind, object=OBJECT, record_id=commit.record, version=version, origin="cdc", fields=told)


def _hole_id(commit: Commit) -> str:
    return f"wildcard:{commit.record}:{commit.number}"


def _hole(commit: Commit) -> Watermark:
    at = versions.moment(commit.reported_ms)
    return Watermark(
        object=OBJECT, basis="hole", origin="cdc", hole_id=_hole_id(commit), hole_from=at, hole_to=at, reason="wildcard"
    )


class _Jobs:
    """One after the other, as their owner runs them."""

    def __init__(
        self,
        rng: random.Random,
        commits: Sequence[Commit],
        ids: Sequence[str],
        faults: Faults,
        holes: Sequence[tuple[int, Commit]],
    ) -> None:
        self._holes = holes
        self._rng = rng
        self._commits = commits
        self._ids = ids
        self._faults = faults
        self._next_ms: int | None = None
        self._said: list[tuple[int, int, Said]] = []

    def run(self) -> list[tuple[int, int, Said]]:
        now = START + self._rng.randint(0, SPAN // 2)
        for number in range(self._rng.randint(1, 5)):
            kind: Literal["delta", "full"] = "full" if self._next_ms is None else self._rng.choice(("delta", "full"))
            now = self._pause(self._job(kind, now, f"{kind}{number}"))
        return self._said

    def _pause(self, now: int) -> int:
        """When the next job begins: soon, some time, or so that a commit becomes visible just as it reads."""
        anchored = [commit.true_ms - MARGIN + corner(self._rng, VISIBILITY) for commit in self._commits]
        later = [moment for moment in anchored if moment > now]
        some = now + self._rng.choice((1, self._rng.randint(0, SPAN // 4)))
        return self._rng.choice(later) if later and self._rng.random() < 0.7 else some

    def _job(self, kind: Literal["delta", "full"], now: int, job_id: str) -> int:
        """Returns when it ended."""
        rng, asked = self._rng, now
        begin = now + MARGIN + rng.choice((0, 1, rng.randint(0, 5_000)))
        r0 = begin + rng.choice((-CLOCK, 0, CLOCK, rng.randint(-CLOCK, CLOCK)))
        since = self._next_ms if kind == "delta" and self._next_ms is not None else 0
        seen = {record: begin + corner(rng, 20_000) for record in self._ids}
        reads = [change for record in self._ids for change in self._read(record, seen[record], since, r0, job_id)]
        end = max(seen.values()) + rng.randint(0, 5_000)
        complete = rng.random() > 0.2
        closes = self._closable(r0, end) if kind == "full" else ()
        self._write(reads, end, self._end(kind, since, r0, job_id, closes) if complete else None)
        if complete:
            self._next_ms = self._start_of_next(kind, begin if self._faults.asked_late else asked, r0)
        return end + 10

    def _read(self, record: str, seen_ms: int, since: int, r0: int, job_id: str) -> list[RecordChange]:
        visible = [c for c in self._commits if c.record == record and c.visible_ms <= seen_ms]
        if not visible:
            return []
        last = max(visible, key=lambda commit: commit.true_ms)
        if last.stamp_ms < since or (self._faults.bounded and since and last.stamp_ms >= r0 - MARGIN):
            return []
        return [
            RecordChange(
                kind="snapshot",
                object=OBJECT,
                record_id=record,
                version=versions.read_version(r0, MARGIN),
                origin="delta" if since else "backfill",
                fields=dict(last.after),
                covers="all",
                job_id=job_id,
            )
        ]

    def _closable(self, r0: int, end: int) -> tuple[str, ...]:
        """Holes that are in the log, and end before what such a read proves; only a full one sees what has no stamp."""
        told = [commit for moment, commit in self._holes if moment <= end]
        return tuple(_hole_id(commit) for commit in told if versions.proves(commit.reported_ms, MARGIN) <= r0)

    def _end(
        self, kind: Literal["delta", "full"], since: int, r0: int, job_id: str, closes: tuple[str, ...]
    ) -> Watermark:
        return Watermark(
            object=OBJECT,
            basis=kind,
            origin="backfill" if kind == "full" else "delta",
            covered_from=versions.moment(since) if since else None,
            covered_until=versions.moment(r0 if self._faults.until_start else versions.proven_until(r0, MARGIN)),
            job_id=job_id,
            phase="end",
            closes=closes,
        )

    def _start_of_next(self, kind: str, asked: int, r0: int) -> int:
        """latestDateCovered less two seconds; after a full read, which asks nothing, the longest transaction before."""
        if self._faults.short:
            return r0 - MARGIN
        if kind == "full":
            return r0 - MARGIN - LONGEST
        running = [commit.begun_ms for commit in self._commits if commit.begun_ms <= asked < commit.true_ms]
        return min([asked, *running]) - 2_000

    def _write(self, reads: Iterable[RecordChange], end: int, mark: Watermark | None) -> None:
        late = self._faults.early_end
        self._said += [(end + (5 if late else 0), 1, change) for change in reads]
        if mark is not None:
            self._said.append((end + 1, 2, mark))


# What a reader of a part of the log claims, and what it lacks


def read_so_far(world: World, upto: Sequence[int]) -> list[tuple[int, Said]]:
    return [(partition, said) for partition, end in enumerate(upto) for said in world.log[partition][:end]]


def proven(read: Iterable[tuple[int, Said]]) -> Ranges:
    """The proven ranges, in milliseconds, by the fold that the projector keeps and the rule of its views for holes."""
    marks = [(partition, said) for partition, said in read if isinstance(said, Watermark)]
    closed = {closing.hole for closing in spans.closed(marks)}
    found = spans.holes(marks).items()
    holes = [_unstamped(hole.since, hole.until) for key, hole in found if key not in closed]
    of: list[list[ranges.Range]] = [[] for _ in range(PARTITIONS)]
    for key, span in spans.fold(marks).items():
        since = 0 if key.covered_from is None else versions.millis(key.covered_from)
        said = ranges.union([(since, versions.millis(span.last.until) - 1)])
        of[key.partition] += ranges.without(said, holes) if key.basis == "delta" else said
    return ranges.common(ranges.union(each) for each in of)


def _unstamped(since: datetime | None, until: datetime | None) -> ranges.Range:
    """What no delta proves: commit times may be early, and have whole seconds."""
    first, last = (None if each is None else versions.millis(each) // 1000 * 1000 for each in (since, until))
    return (0 if first is None else first, NEVER if last is None else last + 1_999)


def states(read: Iterable[tuple[int, Said]]) -> dict[str, State]:
    made: dict[str, State] = {}
    for _, said in read:
        if isinstance(said, RecordChange):
            made[said.record_id] = join(made.get(said.record_id, State()), state_of(said))
    return made


def false_claims(commits: Sequence[Commit], claimed: Ranges, known: Mapping[str, State]) -> list[Commit]:
    """Commits that the ledger calls proven, and of which a field here is older."""
    return [
        commit
        for commit in commits
        if any(since <= moment <= until for since, until in claimed for moment in (commit.true_ms, commit.reported_ms))
        and _lacks(commits, commit, known.get(commit.record))
    ]


def _lacks(commits: Sequence[Commit], commit: Commit, state: State | None) -> bool:
    """Values are of one commit each, so a field tells which commit it is of; liveness tells less."""
    if state is None:
        return True
    later = [each for each in commits if each.record == commit.record and each.number >= commit.number]
    names = (*commit.fields, ALIVE)
    return any(state.payload.get(name) not in [each.after[name] for each in later] for name in names)
