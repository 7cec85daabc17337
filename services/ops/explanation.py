"""Why one record is as it is: which event wrote each field, why it is dirty or not shown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas import tags, versions
from schemas.events import OrderStatus, RecordChange, stamp
from schemas.join import ALIVE, State, state_of
from schemas.mapping import ObjectMapping
from services.ops.past import Past
from services.ops.proof import Held
from services.projector.batch import Decoded
from services.projector.log import Place

_HIDDEN = {
    "incomplete": "required fields are unknown, null or unreadable",
    "sku_taken": "another product has its SKU",
    "product_hidden": "its product is not shown",
    "price_out_of_range": "its price does not fit NUMERIC(12,2) and is never rounded",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """What Postgres knows beside state and row.

    since: since when it is kept and not shown
    tagged: what its tags are made of
    applied: next offset of the projection by partition; letters: why a record of the log was set aside
    """

    held: Held
    since: datetime | None = None
    tagged: Mapping[str, Any] = field(default_factory=dict)
    applied: Mapping[Place, int] = field(default_factory=dict)
    letters: Mapping[tuple[Place, int], str] = field(default_factory=dict)
    status_version: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """One field. by: the events in the log that carry this version of it, as topic:partition:offset"""

    name: str
    value: Any
    version: str
    by: Sequence[str]


def coordinates(place: Place, offset: int) -> str:
    """As `Umbra-Trace` gives them."""
    return f"{place.topic}:{place.partition}:{offset}"


def written(state: State, pasts: Iterable[Past]) -> Iterator[Written]:
    """Every known field with its version and what wrote it."""
    said = [each for past in pasts for each in past.events if isinstance(each.event, RecordChange)]
    for name in sorted(state.payload):
        version = state.version(name) or ""
        by = [coordinates(each.record.place, each.record.offset) for each in said if _wrote(each, name, version)]
        yield Written(name, state.payload[name], version, by)


def _wrote(each: Decoded, name: str, version: str) -> bool:
    return isinstance(each.event, RecordChange) and state_of(each.event).version(name) == version


def meaning(version: str) -> str:
    """A version in words."""
    at = stamp(versions.moment(versions.at_ms(version)))
    if versions.is_read(version):
        return f"a read that began at {stamp(versions.moment(int(version[15:34])))}, proving commits before {at}"
    return f"commit {int(version[15:34])} at {at}, sequence {int(version[34:])}"


def shown(stored: Stored) -> str:
    """Whether it is shown, or why not."""
    held = stored.held
    if held.row is not None:
        return "shown"
    if held.hidden is not None:
        since = "" if stored.since is None else f", since {stamp(stored.since)}"
        detail = "" if held.hidden.detail is None else f" ({held.hidden.detail})"
        return f"kept and not shown: {held.hidden.reason}{detail}: {_HIDDEN.get(held.hidden.reason, '')}{since}"
    if held.state is None:
        return "unknown: no event that was applied speaks of it"
    return "deleted" if held.state.deleted else "not shown, and nothing says why: `umbra reproject` settles it"


def dirt(state: State | None) -> str | None:
    """Why it is dirty, and what ends that; None where it is not."""
    if state is None or not state.is_dirty or state.dirty is None:
        return None
    marked_ms = versions.at_ms(state.dirty)
    heals = stamp(versions.moment(versions.proves(marked_ms)))
    changed = stamp(versions.moment(marked_ms))
    return f"something changed at {changed} that no event tells; a read that begins at {heals} or later settles it"


def tags_of(mapping: ObjectMapping, record_id: str, stored: Stored) -> list[str]:
    """The cache tags that a change of it tells; those of a product's lists only while it is shown."""
    made = stored.tagged
    match mapping.name:
        case "Account":
            return [tags.eligibility(record_id)]
        case "Order":
            return sorted(tags.of_order(record_id, made.get("account_id")))
    return sorted(tags.of_product(made["sku"], made["item_class"])) if made else []


def fate(each: Decoded, stored: Stored) -> str:
    """What became of one event."""
    place, offset = each.record.place, each.record.offset
    letter = stored.letters.get((place, offset))
    if letter is not None:
        return f"set aside: {letter}"
    if offset >= stored.applied.get(place, 0):
        return "not applied yet"
    if each.event is None:
        return f"cannot be used: {each.fault}"
    if isinstance(each.event, OrderStatus):
        return "shown" if each.event.version == stored.status_version else "applied, and a newer one is shown"
    if isinstance(each.event, RecordChange) and stored.held.state is not None:
        return _rest(each.event, stored.held.state)
    return "applied"


def _rest(event: RecordChange, state: State) -> str:
    """Which of its fields are still the newest."""
    said = state_of(event)
    newest = [name for name in sorted(said.payload) if state.version(name) == said.version(name)]
    if event.kind == "dirty":
        return "the mark" if state.dirty == event.version else "an older mark"
    if not newest:
        return "applied, all of it is superseded"
    lost = len(said.payload) - len(newest)
    return "applied" if not lost else f"applied, {lost} of its {len(said.payload)} fields are superseded"


def fields_of(each: Decoded) -> list[str]:
    match each.event:
        case RecordChange() as change:
            return sorted(name for name in change.fields if name != ALIVE)
        case OrderStatus() as status:
            return [status.status, *([status.reason] if status.reason else [])]
        case _:
            return []
