"""Random histories of one record of an org, and the messages that a faithful ingest makes of them.

The org commits transactions; each is visible to reads up to `VISIBILITY` later and reported up to `EARLY`
before its true commit; our reading of the org's clock is wrong by up to `CLOCK`. Events may be lost, doubled
and shuffled. The one promise kept: a change whose event is lost, or that has none, is followed by a read that
begins late enough to prove it. Extremes are drawn on purpose: uniform values almost never meet the corners.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from schemas import versions
from schemas.events import RecordChange
from schemas.versions import Version

VISIBILITY, EARLY, CLOCK = 3_000, 1_000, 1_000
MARGIN = VISIBILITY + EARLY + CLOCK
RECORD_ID = "01t000000000001AAA"
START = 1_700_000_000_000
FIELDS = ("a", "b", "c")
DERIVED = "d"


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction on the record. `fields` are the ones it set; a derived change makes no event."""

    kind: str
    true_ms: int
    reported_ms: int
    visible_ms: int
    number: int
    fields: dict[str, Any]
    after: dict[str, Any]
    alive: bool


@dataclass(slots=True)
class World:
    """A finished history: what the org holds at the end, and every message about how it came about."""

    values: dict[str, Any]
    alive: bool
    messages: list[RecordChange]
    commits: list[Commit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Read:
    """A read begun at `measured` by our idea of the org's clock, that saw the record at `seen_at` by the true one.

    A proving read asks for deleted rows too: "not found" tells nothing of the fields.
    """

    measured: int
    seen_at: int
    proving: bool


ReadVersion = Callable[[int], Version]
EventVersion = Callable[[Commit], Version]


def read_version(began_ms: int) -> Version:
    return versions.read_version(began_ms, MARGIN)


def event_version(commit: Commit) -> Version:
    return versions.event_version(commit.reported_ms, commit.number, 1)


def corner(rng: random.Random, most: int) -> int:
    """0, the limit, or something between, each as likely."""
    return rng.choice((0, most, rng.randint(0, most)))


def make(
    rng: random.Random,
    *,
    most_commits: int = 5,
    version_of_read: ReadVersion = read_version,
    version_of_event: EventVersion = event_version,
) -> World:
    """Draw one world. The versions can be exchanged, to see that a wrong rule is caught."""
    commits = _history(rng, most_commits)
    lost = [commit for commit in commits if commit.kind == "derived" or rng.random() < 0.25]
    messages = [_event(c, version_of_event(c)) for c in commits if c not in lost]
    reads = _reads(rng, commits, lost)
    messages += [_read(rng, commits, read, version_of_read) for read in reads]
    messages += [m for m in messages if rng.random() < 0.2]
    rng.shuffle(messages)
    return World(_knowable(commits[-1].after, messages), commits[-1].alive, messages, commits)


def _knowable(values: dict[str, Any], messages: list[RecordChange]) -> dict[str, Any]:
    """A derived value that no read ever saw cannot be known; an old read may be its only source."""
    seen = any(DERIVED in message.fields for message in messages)
    return {name: value for name, value in values.items() if seen or name != DERIVED}


def _history(rng: random.Random, most: int) -> list[Commit]:
    commits: list[Commit] = []
    whole_seconds = rng.random() < 0.6
    now = START + rng.randint(0, 3_000)
    values: dict[str, Any] = {}
    alive, number, reported = False, rng.randint(1, 1 << 40), 0
    for index in range(rng.randint(1, most)):
        now += rng.choice((1, rng.randint(1, 999), rng.randint(1, 20_000), 60_000)) if index else 0
        number += rng.choice((1, 1, 1_000_000))
        kind = "create" if index == 0 else _next_kind(rng, alive)
        changed = _changed(rng, kind, values, index)
        values = {**values, **changed, **({DERIVED: index} if kind in ("create", "derived") else {})}
        alive = kind != "delete"
        reported = max(reported, _reported(rng, now, whole_seconds))
        commits.append(Commit(kind, now, reported, now + corner(rng, VISIBILITY), number, changed, dict(values), alive))
    return commits


def _next_kind(rng: random.Random, alive: bool) -> str:
    if not alive:
        return "undelete"
    return rng.choice(("update", "update", "update", "update", "delete", "derived"))


def _changed(rng: random.Random, kind: str, values: dict[str, Any], index: int) -> dict[str, Any]:
    match kind:
        case "create":
            return {name: f"{name}{index}" for name in FIELDS}
        case "undelete":
            return {name: values[name] for name in FIELDS}
        case "update":
            names = rng.sample(FIELDS, rng.randint(1, 2))
            return {name: rng.choice((None, f"{name}{index}", f"{name}{index}")) for name in names}
        case _:
            return {}


def _reported(rng: random.Random, true_ms: int, whole_seconds: bool) -> int:
    early = true_ms - corner(rng, EARLY)
    return early // 1000 * 1000 if whole_seconds else early


def _reads(rng: random.Random, commits: list[Commit], lost: list[Commit]) -> list[Read]:
    reads = []
    for commit in lost:
        mark = max(commit.reported_ms, commit.true_ms)
        measured = versions.proves(mark, MARGIN) + rng.choice((0, 0, rng.randint(0, 30_000)))
        reads.append(_read_at(rng, measured, proving=True))
    for _ in range(rng.randint(0, 3)):
        anchor = rng.choice(commits)
        base = rng.choice((anchor.reported_ms + MARGIN, anchor.visible_ms, anchor.true_ms))
        reads.append(_read_at(rng, base + rng.choice((-1, 0, 1, rng.randint(-10_000, 60_000))), proving=False))
    return reads


def _read_at(rng: random.Random, measured: int, *, proving: bool) -> Read:
    true_start = measured + rng.choice((-CLOCK, 0, CLOCK, rng.randint(-CLOCK, CLOCK)))
    return Read(measured, true_start + rng.choice((0, 0, rng.randint(0, 20_000))), proving)


def _event(commit: Commit, version: Version) -> RecordChange:
    kind: Any = commit.kind
    return RecordChange(
        kind=kind,
        object="Product2",
        record_id=RECORD_ID,
        version=version,
        origin="cdc",
        fields=commit.fields,
    )


def _read(rng: random.Random, commits: list[Commit], read: Read, version_of: ReadVersion) -> RecordChange:
    visible: Commit | None = None
    for commit in commits:
        if commit.visible_ms <= read.seen_at:
            visible = commit
    version = version_of(read.measured)
    if visible is None or (not visible.alive and not read.proving and rng.random() < 0.5):
        return RecordChange(kind="absent", object="Product2", record_id=RECORD_ID, version=version, origin="repair")
    return RecordChange(
        kind="snapshot",
        object="Product2",
        record_id=RECORD_ID,
        version=version,
        origin="backfill",
        fields={**visible.after, "IsDeleted": not visible.alive},
        covers="all",
    )
