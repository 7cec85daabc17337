"""What Umbra holds of one record beside what the org says: field by field, and why where they differ. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from schemas import versions
from schemas.events import RecordChange, stamp
from schemas.join import ALIVE, State, state_of
from schemas.mapping import ObjectMapping
from services.ops.ledger import Ledger, Open
from services.projector import project
from services.projector.rows import Hidden

Place = Literal["state", "row", "cache"]
_MISSING = "(not known)"
_APART = frozenset({"updated_at", "raw_payload", "status", "status_reason", "status_version"})
"""Columns that no value of a record stands for: when it changed, all of it, and what the log of statuses says."""
_STATUS = "Status"


@dataclass(frozen=True, slots=True)
class Told:
    """What the org said in one read. record: None where it does not have the record"""

    record: RecordChange | None
    r0_ms: int

    @property
    def fields(self) -> Mapping[str, Any]:
        return {ALIVE: True} if self.record is None else self.record.fields

    @property
    def stamped_ms(self) -> int | None:
        stamped = None if self.record is None else self.record.system_modstamp
        return None if stamped is None else versions.millis(stamped)


@dataclass(frozen=True, slots=True)
class Held:
    """What Umbra holds. row: of the shadow table, by column; hidden: why there is none"""

    state: State | None
    row: Mapping[str, Any] | None
    hidden: Hidden | None


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in the shared cache. body: None where nothing is kept; fresh: made from the row just now

    untold_seconds: age of the oldest change of it that the caches were not told of yet
    """

    name: str
    body: bytes | None
    fresh: bytes
    untold_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One thing compared. here: what Umbra has; there: what it should be; why: where they differ"""

    place: Place
    field: str
    here: Any
    there: Any
    why: str | None = None

    @property
    def agrees(self) -> bool:
        return self.why is None


@dataclass(frozen=True, slots=True)
class Case:
    """One record, with what explains a difference."""

    mapping: ObjectMapping
    record_id: str
    told: Told
    held: Held
    ledger: Ledger | None
    margin_ms: int

    def lines(self) -> list[Line]:
        state = list(self._state())
        differing = {line.field for line in state if not line.agrees}
        return [*state, *self._row(differing)]

    # The state: what is known of each field

    def _state(self) -> Iterator[Line]:
        known = self.held.state or State()
        yield self._one(ALIVE, known)
        if self.told.record is not None and self.told.fields[ALIVE] is False:
            for name in self.mapping.fields:
                yield self._one(name, known)

    def _one(self, name: str, known: State) -> Line:
        there = self.told.fields.get(name, _MISSING)
        here = known.payload.get(name, _MISSING)
        if here == there or (name == ALIVE and there is True and here == _MISSING):
            return Line("state", name, here, there)
        return Line("state", name, here, there, self._why(name, known))

    def _why(self, name: str, known: State) -> str:
        reasons = (
            self._hidden_from_us(name),
            self._under_way(name, known),
            self._dirty(known),
            self._uncovered(),
            self._never_told(name, known),
            self._perhaps_in_a_hole(),
        )
        last = "not explained: no event told of it (a derived value, or a lost event), the next full read will"
        return next((reason for reason in reasons if reason is not None), last)

    def _hidden_from_us(self, name: str) -> str | None:
        if self.told.record is None or name in self.told.fields:
            return None
        return "the org does not show this field to the integration user (umbra doctor)"

    def _under_way(self, name: str, known: State) -> str | None:
        """Younger than M: the event, or its absence, proves nothing yet."""
        stamped, bound = self.told.stamped_ms, self.told.r0_ms - self.margin_ms
        if stamped is not None and stamped > bound:
            return (
                f"an event is under way: changed in the org {(self.told.r0_ms - stamped) / 1000:.1f} s before the read"
            )
        version = known.version(name)
        if version is not None and versions.at_ms(version) > bound:
            return f"an event is under way: Umbra has a change of {_time(versions.at_ms(version))}, younger than M"
        return None

    def _dirty(self, known: State) -> str | None:
        if known.dirty is None or not known.is_dirty:
            return None
        at = versions.at_ms(known.dirty)
        after = versions.proves(at, self.margin_ms)
        return f"dirty: changed at {_time(at)}, its event could not say how; a read begun from {_time(after)} on does"

    def _uncovered(self) -> str | None:
        stamped = self.told.stamped_ms
        if self.ledger is None or stamped is None:
            return None
        hole = next((hole for hole in self.ledger.holes if _holds(hole, stamped)), None)
        if hole is not None:
            return f"in the open hole {hole.id}: {hole.why}"
        until = self.ledger.observed_until
        if until is None:
            return f"{self.mapping.name} was never covered: no full read has ended, or its first start is still a hole"
        if stamped > versions.millis(until):
            return f"changed at {_time(stamped)}, and {self.mapping.name} is observed until {stamp(until)} only"
        return None

    def _perhaps_in_a_hole(self) -> str | None:
        """What has no stamp of its own may lie in any hole: a converted field, a mirrored price."""
        if self.ledger is None or not self.ledger.holes:
            return None
        hole = self.ledger.holes[-1]
        return f"the open hole {hole.id} may hold it: {hole.why}"

    def _never_told(self, name: str, known: State) -> str | None:
        if name in known.payload:
            return None
        return "never told: no full read since the field was mapped, or it was hidden then; a backfill tells it"

    # The row: what is served

    def _row(self, differing: set[str]) -> Iterator[Line]:
        record = self.told.record
        wanted = None if record is None else self._projected(state_of(record))
        row = self.held.row
        if wanted is None or isinstance(wanted, Hidden):
            why = None if row is None else self._as_the_state(differing, ALIVE)
            yield Line("row", "(shown)", row is not None, False, why)
        elif row is None:
            yield Line("row", "(shown)", False, True, self._not_shown(differing))
        else:
            for name in wanted.__dataclass_fields__:
                if name in row and name not in _APART:
                    yield self._column(name, row[name], getattr(wanted, name), differing)
            if "status" in row:
                yield self._status(row)

    def _projected(self, state: State) -> Any:
        match self.mapping.name:
            case "Product2":
                return project.product(self.mapping, self.record_id, state)
            case "PricebookEntry":
                return project.entry(self.mapping, self.record_id, state)
            case "Account":
                return project.eligibility(self.mapping, self.record_id, state)
            case _:
                return project.order(self.mapping, self.record_id, state, None)

    def _status(self, row: Mapping[str, Any]) -> Line:
        """An order shows the status that the log says, which a report of the fulfilment side may have moved on."""
        here, there = row["status"], self.told.fields.get(_STATUS, _MISSING)
        if here == there:
            return Line("row", "status", here, there)
        at = versions.at_ms(row["status_version"])
        said = f"the log says {here} since {_time(at)}"
        stamped = self.told.stamped_ms
        later = "which is later than the org's record" if stamped is not None and at > stamped else "and nothing later"
        return Line("row", "status", here, there, f"{said}, {later}")

    def _column(self, name: str, here: Any, there: Any, differing: set[str]) -> Line:
        if here == there:
            return Line("row", name, here, there)
        source = self.mapping.field_of(name)
        return Line("row", name, here, there, self._as_the_state(differing, "" if source is None else source.name))

    def _as_the_state(self, differing: set[str], source: str) -> str:
        if source in differing:
            return f"as the state: {source}"
        return "the row does not follow its state, which agrees: a fault of the projection"

    def _not_shown(self, differing: set[str]) -> str | None:
        """None where a rule keeps a record out that otherwise agrees: that is no difference."""
        hidden = self.held.hidden
        if differing:
            return f"as the state: {', '.join(sorted(differing))}"
        if hidden is None:
            return "the row does not follow its state, which agrees: a fault of the projection"
        return None if hidden.reason != "incomplete" else f"not shown: incomplete ({hidden.detail})"


def cached(kept: Sequence[Kept]) -> Iterator[Line]:
    """What is kept, beside what the row says now; nothing kept is no difference."""
    for each in kept:
        if each.body is None:
            continue
        here, there = _flat(each.body), _flat(each.fresh)
        for name in sorted(here.keys() | there.keys()):
            mine, theirs = here.get(name, _MISSING), there.get(name, _MISSING)
            why = None if mine == theirs else _untold(each)
            yield Line("cache", f"{each.name}{name}", mine, theirs, why)


def _untold(kept: Kept) -> str:
    if kept.untold_seconds is not None:
        return f"the caches have not been told for {kept.untold_seconds:.1f} s (cache_outbox)"
    return "the caches were told, and it is still kept: a fault of the cache, or it changed while it was compared"


def _flat(body: bytes) -> dict[str, Any]:
    return dict(_leaves("", msgspec.json.decode(body))) if body else {"": "(absent)"}


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(f"{path}.{name}", each)
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            yield from _leaves(f"{path}[{index}]", each)
    else:
        yield path, value


def _holds(hole: Open, ms: int) -> bool:
    since = None if hole.since is None else versions.millis(hole.since)
    until = None if hole.until is None else versions.millis(hole.until)
    # Stamps have whole seconds, and a commit may come that much after its stamp.
    return (since is None or since - 1000 <= ms) and (until is None or ms <= until + 1000)


def _time(ms: int) -> str:
    return stamp(versions.moment(ms))
