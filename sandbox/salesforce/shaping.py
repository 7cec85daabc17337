"""Which events a commit becomes: merged, cut off, or gaps.  Pure: what is drawn is drawn by the generator handed in."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sandbox.salesforce.commit import Change
from sandbox.salesforce.oddities.settings import Oddities
from sandbox.salesforce.schema import Value

NO_RECORD = "000000000000000AAA"
OVERFLOW = "GAP_OVERFLOW"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One event to be written.

    record_ids: one id, many of a merged change, or a wildcard
    change: of the first of them; None for an event without a body
    sequence: from 1 in the transaction
    """

    object: str
    record_ids: tuple[str, ...]
    change_type: str
    sequence: int
    change: Change | None = None
    lone: bool = False  # without LastModifiedDate
    empty: bool = False  # without its fields, though it is no gap


@dataclass(slots=True)
class _Group:
    changes: list[Change] = field(default_factory=list)


def shapes(
    changes: Iterable[Change], oddities: Oddities, rng: random.Random, compound: Callable[[str, str], bool]
) -> Iterator[Shape]:
    """The events of a commit, in order.  `compound` tells whether a field of an object is a part of another."""
    kept, lost = _cut(changes, oddities.most_changes)
    sequence = 0
    for group in _groups(kept, merge=oddities.merge):
        sequence += 1
        yield _shape(group, sequence, oddities, rng, compound)
    for object_name in lost:
        sequence += 1
        yield Shape(object=object_name, record_ids=(NO_RECORD,), change_type=OVERFLOW, sequence=sequence)


def _shape(
    group: _Group, sequence: int, oddities: Oddities, rng: random.Random, compound: Callable[[str, str], bool]
) -> Shape:
    first = group.changes[0]
    gap = oddities.gap_share > 0 and rng.random() < oddities.gap_share
    parts_only = all(name == "LastModifiedDate" or compound(first.object, name) for name in first.changed)
    return Shape(
        object=first.object,
        record_ids=tuple(change.record_id for change in group.changes),
        change_type=f"GAP_{first.kind}" if gap else first.kind,
        sequence=sequence,
        change=None if gap else first,
        lone=oddities.lone_compounds and len(first.changed) > 1 and parts_only,
        empty=oddities.empty_undeletes and first.kind == "UNDELETE",
    )


def _cut(changes: Iterable[Change], most: int) -> tuple[list[Change], list[str]]:
    """The changes up to the limit, and the objects of those beyond it."""
    kept: list[Change] = []
    lost: dict[str, None] = {}
    count = 0
    for change in changes:
        count += max(1, len(change.changed) - 1) if change.kind == "UPDATE" else 1
        if count > most:
            lost[change.object] = None
        else:
            kept.append(change)
    return kept, list(lost)


def _groups(changes: list[Change], *, merge: bool) -> Iterator[_Group]:
    """Changes that become one event each: with `merge`, the same change of several records of one object."""
    groups: dict[object, _Group] = {}
    for index, change in enumerate(changes):
        same = _content(change) if merge and change.kind in ("UPDATE", "DELETE") else index
        groups.setdefault(same, _Group()).changes.append(change)
    yield from groups.values()


def _content(change: Change) -> object:
    values: Mapping[str, Value] = change.after
    return change.object, change.kind, tuple((name, values.get(name)) for name in change.changed)
