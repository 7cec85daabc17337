"""Where a stream of all of an account's orders joins the log: the rule of `verdict`, over all partitions. Pure.

Its cursor holds a place per partition and no versions: what was shown before it is folded from the ring, and the
client's own contract, to ignore a version not greater than the one shown, covers what the ring has let go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.notifier.cursor import AccountCursor, Place
from services.notifier.ring import Ring
from services.notifier.verdict import State, is_held, is_of_this_log


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """One statement's answer: the account's orders by id, and the offset up to which each partition is held."""

    states: Mapping[str, State]
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """joins: entries from here on follow, by partition; ahead: places that this instance has not reached yet."""

    resume: Literal["exact", "snapshot", "gap"]
    joins: tuple[int, ...]
    states: Mapping[str, State] = field(default_factory=dict)
    ahead: Mapping[int, Place] = field(default_factory=dict)
    hole_until: tuple[int, ...] | None = None


def decide(
    rings: Sequence[Ring], cursor: AccountCursor | None, ends: Sequence[int], snapshot: AccountSnapshot | None
) -> AccountPlan | None:
    """The plan; None when it takes a snapshot and there is none."""
    if cursor is not None and not cursor.hole and _all_held(rings, cursor, ends):
        return AccountPlan("exact", tuple(place.next for place in cursor.places), ahead=_ahead(rings, cursor))
    if snapshot is None:
        return None
    if all(position >= ring.base for position, ring in zip(snapshot.positions, rings, strict=True)):
        return AccountPlan("snapshot", snapshot.positions, snapshot.states)
    joins = _gap_joins(rings, cursor, ends)
    return AccountPlan("gap", joins, hole_until=joins)


def _all_held(rings: Sequence[Ring], cursor: AccountCursor, ends: Sequence[int]) -> bool:
    return all(is_held(ring, place, end) for ring, place, end in zip(rings, cursor.places, ends, strict=True))


def _ahead(rings: Sequence[Ring], cursor: AccountCursor) -> dict[int, Place]:
    return {
        partition: place
        for partition, (ring, place) in enumerate(zip(rings, cursor.places, strict=True))
        if place.next > ring.pos
    }


def _gap_joins(rings: Sequence[Ring], cursor: AccountCursor | None, ends: Sequence[int]) -> tuple[int, ...]:
    if cursor is None:
        return tuple(ring.pos for ring in rings)
    return tuple(
        max(ring.pos, place.next) if is_of_this_log(ring, place, end) else ring.pos
        for ring, place, end in zip(rings, cursor.places, ends, strict=True)
    )
