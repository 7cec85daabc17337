"""Where a stream joins the log: exact, snapshot or gap. Pure; the rule and its counterexamples: docs/correctness.

A cursor that lies within what the ring holds, of this very log, goes on exactly. Any other needs the order's row
together with the projector's position, read in one statement: if the ring reaches back to that position the row
and the ring have no hole between them, else there is a gap, and the cursor says so until it is healed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from schemas.versions import StatusVersion
from services.notifier.content import Content
from services.notifier.cursor import OrderCursor
from services.notifier.ring import Ring


@dataclass(frozen=True, slots=True)
class State:
    """An order's status as Postgres shows it."""

    version: StatusVersion
    content: Content
    terminal: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One statement's answer: the order's state, its account, and the offset up to which it holds the log."""

    state: State | None
    account_id: str | None
    next_offset: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How to open a stream.

    join: ring entries from here on follow
    last, shown, terminal: what the client has been shown when it has had `state`
    state: to be sent first, None where the client has it or there is none
    ahead: the cursor's fingerprint, to be compared once the instance has read that far
    hole_until: the gap is closed by a snapshot whose offset is at least this
    """

    resume: Literal["exact", "snapshot", "gap"]
    join: int
    last: StatusVersion | None
    shown: Content | None
    terminal: bool
    state: State | None = None
    ahead: int | None = None
    hole_until: int | None = None


class Position(Protocol):
    """A place in a partition, with the fingerprint of the record below it."""

    @property
    def next(self) -> int: ...
    @property
    def fp(self) -> int: ...


def is_of_this_log(ring: Ring, place: Position, end: int) -> bool:
    """Whether the place is one that this log has had, as far as this instance can tell."""
    if place.next > max(end, ring.pos):
        return False
    if not ring.base <= place.next <= ring.pos:
        return True
    return ring.fp_below(place.next) == place.fp


def is_held(ring: Ring, place: Position, end: int) -> bool:
    """Whether everything from the place on is in the ring, or still to come."""
    return place.next >= ring.base and is_of_this_log(ring, place, end)


def decide(ring: Ring, cursor: OrderCursor | None, end: int, snapshot: Snapshot | None) -> Plan | None:
    """The plan; None when it takes a snapshot and there is none.

    end: the log's end, asked afresh where the cursor is ahead of this instance
    """
    if cursor is not None and not cursor.hole and is_held(ring, cursor, end):
        return _exact(ring, cursor)
    if snapshot is None:
        return None
    if snapshot.next_offset >= ring.base:
        return _from_snapshot(cursor, snapshot)
    return _gap(ring, cursor, end)


def _exact(ring: Ring, cursor: OrderCursor) -> Plan:
    return Plan(
        resume="exact",
        join=cursor.next,
        last=cursor.version,
        shown=cursor.shown,
        terminal=cursor.terminal,
        ahead=cursor.fp if cursor.next > ring.pos else None,
    )


def _from_snapshot(cursor: OrderCursor | None, snapshot: Snapshot) -> Plan:
    """Joined at the snapshot's own position: below it the row says it all, whatever the cursor claims."""
    known, shown, terminal = _held(cursor)
    state = snapshot.state
    if state is None or (known is not None and state.version <= known):
        return Plan("snapshot", snapshot.next_offset, known, shown, terminal)
    if state.content.repeats(shown):
        return Plan("snapshot", snapshot.next_offset, state.version, shown, state.terminal)
    return Plan("snapshot", snapshot.next_offset, state.version, state.content, state.terminal, state)


def _gap(ring: Ring, cursor: OrderCursor | None, end: int) -> Plan:
    last, shown, terminal = _held(cursor)
    ahead = cursor is not None and is_of_this_log(ring, cursor, end)
    join = max(ring.pos, cursor.next) if cursor is not None and ahead else ring.pos
    return Plan("gap", join, last, shown, terminal, hole_until=join)


def _held(cursor: OrderCursor | None) -> tuple[StatusVersion | None, Content | None, bool]:
    return (None, None, False) if cursor is None else (cursor.version, cursor.shown, cursor.terminal)
