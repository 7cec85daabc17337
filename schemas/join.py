"""The join: any order of events, any number of times, gives the same state.

Every field of a record, its liveness (`IsDeleted`) included, is a last-writer-wins register. `join` takes
the greater version field by field; it is associative, commutative and idempotent, and the only way in
which a state changes. `tests/unit/schemas/test_join_properties.py` holds the laws, `vectors/join.json`
publishes cases, and the SQL form in `services/projector` is tested equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from schemas.events import RecordChange
from schemas.versions import Version

ALIVE = "IsDeleted"
"""The register of liveness: false is alive, true is deleted, absent is never seen."""


class State(msgspec.Struct, frozen=True, gc=False):
    """What is known of one record.

    payload: newest known value of every field, `IsDeleted` included
    base: version of the newest full read, None while there was none
    newer: {field: version} only where it differs from `base`
    dirty: greatest "changed, content unknown" mark
    """

    payload: Mapping[str, Any] = {}
    base: Version | None = None
    newer: Mapping[str, Version] = {}
    dirty: Version | None = None

    def version(self, field: str) -> Version | None:
        """Version of one field; None when nothing is known of it."""
        if field not in self.payload:
            return None
        return self.newer.get(field, self.base)

    @property
    def alive(self) -> bool:
        return self.payload.get(ALIVE) is False

    @property
    def deleted(self) -> bool:
        return self.payload.get(ALIVE) is True

    @property
    def is_dirty(self) -> bool:
        """Some change of this record is known to have happened and its content is not here yet."""
        if self.dirty is None or (self.base is not None and self.base >= self.dirty):
            return False
        died = self.version(ALIVE)
        return not (self.deleted and died is not None and died > self.dirty)

    @property
    def newest(self) -> Version | None:
        """Greatest version in the state, marks left out; None for a state that holds marks only."""
        return max((v for v in (*self.newer.values(), self.base) if v is not None), default=None)


EMPTY = State()


def greater(left: Version | None, right: Version | None) -> Version | None:
    if left is None:
        return right
    return left if right is None or left >= right else right


def join(left: State, right: State) -> State:
    """The least state that knows all that `left` and `right` know.

    Where both hold one field under one version, `left` wins: the same version means the same value, so the
    choice shows only where Salesforce contradicts itself, which the ingestor counts.
    """
    base = greater(left.base, right.base)
    payload: dict[str, Any] = {}
    newer: dict[str, Version] = {}
    for field in left.payload.keys() | right.payload.keys():
        mine, theirs = left.version(field), right.version(field)
        winner = left if theirs is None or (mine is not None and mine >= theirs) else right
        payload[field] = winner.payload[field]
        version = greater(mine, theirs)
        if version is not None and version != base:
            newer[field] = version
    return State(payload, base, newer, greater(left.dirty, right.dirty))


def join_all(states: Iterable[State]) -> State:
    result = EMPTY
    for state in states:
        result = join(result, state)
    return result


def moves(old: State, new: State) -> bool:
    """Whether joining `new` into `old` would change anything: what a replay of old news never does."""
    if new.dirty is not None and (old.dirty is None or new.dirty > old.dirty):
        return True
    if new.base is not None and (old.base is None or new.base > old.base):
        return True
    return any(_newer(old.version(field), new.version(field)) for field in new.payload)


def _newer(old: Version | None, new: Version | None) -> bool:
    return new is not None and (old is None or new > old)


def state_of(change: RecordChange) -> State:
    """The state that one change event, read or mark carries by itself."""
    match change.kind:
        case "dirty":
            return State(dirty=change.version)
        case "snapshot":
            payload = {ALIVE: False, **change.fields}
            if change.covers == "all":
                return State(payload=payload, base=change.version)
        case "delete" | "absent":
            payload = {ALIVE: True}
        case _:
            payload = {**change.fields, ALIVE: False}
    return State(payload=payload, newer=dict.fromkeys(payload, change.version))
