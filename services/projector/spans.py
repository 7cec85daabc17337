"""The coverage ledger of a partition: a join of its watermarks, in any order and any number of times. Pure.

Its times are commit times as the org reports them. Those may have whole seconds, and lie before the commit: what a
read proves ends before the second in which its r0 - M lies (`versions.proven_until`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.events import Basis, Watermark

_MOMENT = timedelta(milliseconds=1)


class Key(NamedTuple):
    """What one span is: a read by its job, a stream by the time since when it is contiguous.

    covered_from: None for since ever, which only a full read covers
    """

    object: str
    partition: int
    basis: Basis
    covered_from: datetime | None
    job_id: str


class Reached(NamedTuple):
    """A mark of a span: how far, and a stream's position there. Of two at the same time the greater text counts."""

    until: datetime
    replay_id: str


class Span(NamedTuple):
    """The least and the greatest mark; the span is covered from its key's time up to the greatest.

    A stream's includes its end, a read's does not.
    """

    first: Reached
    last: Reached


class HoleKey(NamedTuple):
    object: str
    partition: int
    hole_id: str


class Closing(NamedTuple):
    """by: a job, or the basis of what closes a hole without one"""

    hole: HoleKey
    by: str


class Hole(NamedTuple):
    """A range of which nothing is known. None is no bound: since ever, or nobody knows until when."""

    since: datetime | None
    until: datetime | None
    reason: str


def join(one: Span, other: Span) -> Span:
    """Associative, commutative, idempotent."""
    return Span(min(one.first, other.first), max(one.last, other.last))


def fold(marks: Iterable[tuple[int, Watermark]]) -> dict[Key, Span]:
    """The spans that some marks make, each with the partition that it came from."""
    made: dict[Key, Span] = {}
    for partition, mark in marks:
        key, until = key_of(partition, mark), until_of(mark)
        if key is not None and until is not None:
            reached = Reached(until, mark.replay_id or "")
            new = Span(reached, reached)
            made[key] = join(made[key], new) if key in made else new
    return made


def until_of(mark: Watermark) -> datetime | None:
    """Of a read the first moment that it does not prove, in whole seconds; of a stream its last."""
    until = mark.covered_until
    return until if until is None or mark.basis == "stream" else (until + _MOMENT).replace(microsecond=0)


def key_of(partition: int, mark: Watermark) -> Key | None:
    """None for a mark that covers no range: a hole, a start, a read or a stream that does not say since when."""
    since, until = mark.covered_from, until_of(mark)
    if mark.basis == "hole" or until is None or (since is None and mark.basis != "full"):
        return None
    if since is not None and since > until:
        return None
    return Key(mark.object, partition, mark.basis, since, mark.job_id or "")


def holes(marks: Iterable[tuple[int, Watermark]]) -> dict[HoleKey, Hole]:
    """The holes that some marks open; one that is told twice is as wide as both tell."""
    made: dict[HoleKey, Hole] = {}
    for partition, mark in marks:
        if mark.basis == "hole" and mark.hole_id is not None:
            key = HoleKey(mark.object, partition, mark.hole_id)
            new = Hole(mark.hole_from, mark.hole_to, mark.reason or "")
            made[key] = _wider(made[key], new) if key in made else new
    return made


def _wider(one: Hole, other: Hole) -> Hole:
    since = None if one.since is None or other.since is None else min(one.since, other.since)
    until = None if one.until is None or other.until is None else max(one.until, other.until)
    return Hole(since, until, min(one.reason, other.reason))


def closed(marks: Iterable[tuple[int, Watermark]]) -> dict[Closing, datetime | None]:
    """What closes holes for good, and of a read the first moment that it does not prove; of two the earlier one."""
    made: dict[Closing, datetime | None] = {}
    for partition, mark in marks:
        until = None if mark.basis == "stream" else until_of(mark)
        for hole_id in mark.closes:
            key = Closing(HoleKey(mark.object, partition, hole_id), mark.job_id or mark.basis)
            known = made.get(key)
            made[key] = until if known is None else known if until is None else min(known, until)
    return made
