"""What the org committed, and when by the true clock: what every claim is judged by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.salesforce.driver.inprocess import Played
from sandbox.salesforce.journal import SavedCommit
from sandbox.salesforce.schema import Record
from schemas.join import ALIVE, State
from tests.histories.mapped import DERIVED, OBJECTS, fields_of

Key = tuple[str, str]
EMPTY = State()


class Truth:
    """Each record's committed states, oldest first; None once it is gone for good."""

    derived = False
    """Whether derived values are compared as well: they change without a commit of their record."""

    def __init__(self, played: Played) -> None:
        self._played = played
        self._states: dict[Key, list[tuple[int, Record | None]]] = defaultdict(list)

    def note(self) -> None:
        """To be called after each step: takes what was committed in it."""
        now = self._played.clock.now_ms()
        for line in self._played.journal.lines:
            if isinstance(line, SavedCommit):
                for object_name, record in line.records:
                    self._states[object_name, str(record["Id"])].append((now, record))
                for key in line.gone:
                    self._states[key].append((now, None))
        self._played.journal.lines.clear()

    @property
    def last_ms(self) -> int:
        return max((states[-1][0] for states in self._states.values()), default=0)

    def keys(self, object_name: str | None = None) -> list[Key]:
        return [key for key in self._states if key[0] in ((object_name,) if object_name else OBJECTS)]

    def wrong(self, known: Mapping[Key, State]) -> Iterator[str]:
        """Where what is known differs from what the org holds now."""
        for key in self.keys():
            yield from self._differences(key, known.get(key, EMPTY), self._states[key][-1:])
        yield from (f"{key} was never there" for key in known if key not in self._states)

    def overclaimed(self, object_name: str, until_ms: int, known: Mapping[Key, State]) -> Iterator[str]:
        """What a row lacks though everything up to then is said to be in it; a later value is right as well.

        A row that is marked dirty claims nothing.
        """
        for key in self.keys(object_name):
            if not (state := known.get(key, EMPTY)).is_dirty:
                yield from self._differences(key, state, self._since(key, until_ms))

    def _since(self, key: Key, until_ms: int) -> list[tuple[int, Record | None]]:
        states = self._states[key]
        at = sum(committed <= until_ms for committed, _ in states)
        return [(0, None), *states] if at == 0 else states[at - 1 :]

    def _differences(self, key: Key, state: State, right: list[tuple[int, Record | None]]) -> Iterator[str]:
        alive = [record for _, record in right if record is not None and not record["IsDeleted"]]
        if not state.alive:
            if len(alive) == len(right):
                yield f"{key} is alive, and is known as {state.payload.get(ALIVE)}"
            return
        if not alive:
            yield f"{key} is gone, and is known as alive"
            return
        rows = [fields_of(self._played.org, key[0], record) for _, record in right if record is not None]
        # It may be known by a part that changed, where a read may have found it gone.
        sparse = len(alive) < len(right)
        for name in rows[0]:
            if (sparse and name not in state.payload) or (not self.derived and (key[0], name) in DERIVED):
                continue
            values: list[Any] = [row[name] for row in rows]
            # A create does not claim its nulls: what is not known is shown as null.
            if state.payload.get(name) not in values:
                yield f"{key}.{name} is {values}, and is known as {state.payload.get(name)!r}"
