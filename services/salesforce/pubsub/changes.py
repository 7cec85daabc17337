"""A change event as RecordChanges: one for each record id, only mapped fields, canonical values. Pure.

What an event cannot tell is written as `dirty` at once; what it cannot even name is a hole. Sources: Change Data
Capture guide, "Change Event Fields", "Merged Change Events", "Gap Events", "Overflow Events".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas import ids, versions
from schemas.events import Kind, RecordChange, Watermark
from schemas.mapping import Field, ObjectMapping
from schemas.versions import Version
from services.salesforce.canonical import Value, scalar_from_avro
from services.salesforce.pubsub import bitmaps
from services.salesforce.pubsub.avro import Event, EventSchema, Undecodable
from services.salesforce.pubsub.bitmaps import Path

_KINDS: Mapping[str, Kind] = {
    "CREATE": "create",
    "UPDATE": "update",
    "DELETE": "delete",
    "UNDELETE": "undelete",
    "GAP_CREATE": "dirty",
    "GAP_UPDATE": "dirty",
    "GAP_DELETE": "dirty",
    "GAP_UNDELETE": "dirty",
}
_OVERFLOW = "GAP_OVERFLOW"
_NO_RECORD = "000000000000000AAA"
_HEADER = "ChangeEventHeader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an event says of its commit."""

    entity: str
    record_ids: tuple[str, ...]
    change_type: str
    transaction_key: str
    sequence: int
    committed_ms: int
    commit_number: int

    @property
    def version(self) -> Version:
        return versions.event_version(self.committed_ms, self.commit_number, self.sequence)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one event says.

    holes: ranges of the object of which nothing is known, to be written to every partition of its topic
    unmapped: of an object that is not mapped, as a channel of several objects carries them too
    """

    committed_ms: int
    changes: tuple[RecordChange, ...] = ()
    holes: tuple[Watermark, ...] = ()
    unmapped: bool = False


@dataclass(frozen=True, slots=True)
class _Content:
    """Fields that an event lets us claim; `unclear` when it changed a mapped field and does not say to what."""

    fields: dict[str, Value]
    unclear: bool = False


def header(event: Event) -> Header:
    """Raises Undecodable for an event that is no change event."""
    try:
        raw = event[_HEADER]
        return Header(
            entity=raw["entityName"],
            record_ids=tuple(raw["recordIds"]),
            change_type=raw["changeType"],
            transaction_key=raw["transactionKey"],
            sequence=raw["sequenceNumber"],
            committed_ms=raw["commitTimestamp"],
            commit_number=raw["commitNumber"],
        )
    except (KeyError, TypeError) as error:
        raise Undecodable("the event has no change event header") from error


def of_event(event: Event, schema: EventSchema, objects: Mapping[str, ObjectMapping], replay_id: str) -> Decoded:
    """Everything that a change event says; nothing for an object that is not mapped. Raises Undecodable."""
    head = header(event)
    mapping = objects.get(head.entity)
    if mapping is None:
        return Decoded(head.committed_ms, unmapped=True)
    try:
        return _decoded(event, head, schema, mapping, replay_id)
    except ValueError as error:
        raise Undecodable(str(error)) from error


def _decoded(event: Event, head: Header, schema: EventSchema, mapping: ObjectMapping, replay_id: str) -> Decoded:
    named = [record_id for record_id in head.record_ids if record_id != _NO_RECORD and not record_id.endswith("*")]
    holes = tuple(_hole(head, why, replay_id) for why in _unnamed(head))
    if head.change_type == _OVERFLOW or not named:
        return Decoded(head.committed_ms, holes=holes)
    claims = list(_claims(event, head, schema, mapping))
    changes = tuple(
        _change(head, ids.parse(record_id), kind, fields, replay_id) for record_id in named for kind, fields in claims
    )
    return Decoded(head.committed_ms, changes, holes)


def _unnamed(head: Header) -> Iterator[str]:
    """Why records may have changed that the event does not name."""
    if head.change_type == _OVERFLOW:
        yield "overflow"
    elif any(record_id.endswith("*") for record_id in head.record_ids):
        yield "wildcard"
    elif _NO_RECORD in head.record_ids or not head.record_ids:
        yield "unnamed"


def _hole(head: Header, why: str, replay_id: str) -> Watermark:
    """The commit as a range: a read that proves it, a whole second and a margin later, has seen all of it."""
    at = versions.moment(head.committed_ms)
    return Watermark(
        object=head.entity,
        basis="hole",
        origin="cdc",
        hole_id=f"{why}:{replay_id}",
        hole_from=at,
        hole_to=at,
        reason=why,
    )


def _claims(
    event: Event, head: Header, schema: EventSchema, mapping: ObjectMapping
) -> Iterator[tuple[Kind, dict[str, Value]]]:
    """Kind and fields of the messages that each named record gets, in order."""
    kind = _KINDS.get(head.change_type)
    match kind:
        case None:
            raise ValueError(f"unknown change type {head.change_type}")
        case "dirty":
            yield kind, {}
        case "delete":
            yield kind, {"IsDeleted": True}
        case _:
            content = _content(event, head, schema, mapping)
            yield kind, {"IsDeleted": False, **content.fields}
            if content.unclear:
                yield "dirty", {}


def _content(event: Event, head: Header, schema: EventSchema, mapping: ObjectMapping) -> _Content:
    places = _places(schema.layout, mapping)
    match head.change_type:
        case "UPDATE":
            return _updated(event, schema.layout, places)
        case "UNDELETE" if all(value is None for name, value in event.items() if name != _HEADER):
            return _Content({}, unclear=True)
        case _:
            return _whole(event, places, nulls=head.change_type == "UNDELETE")


def _places(layout: bitmaps.Layout, mapping: ObjectMapping) -> dict[Path, Field]:
    """Where the mapped fields stand in the schema. A derived field stands nowhere."""
    every = (path for slot in layout for path in (Path(slot.name), *(Path(slot.name, part) for part in slot.parts)))
    return {path: field for path in every if (field := mapping.fields.get(rest_name(path))) is not None}


def rest_name(path: Path) -> str:
    """The name under which REST and Bulk know a field or a part of a compound one.

    BillingAddress.Street is BillingStreet, Name.FirstName is FirstName, Site__c.Latitude is Site__Latitude__s.
    """
    if not path.part:
        return path.field
    if path.field == "Name":
        return path.part
    if path.field.endswith("__c"):
        return f"{path.field[:-3]}__{path.part}__s"
    return path.field.removesuffix("Address") + path.part


def _whole(event: Event, places: Mapping[Path, Field], *, nulls: bool) -> _Content:
    """A CREATE or UNDELETE: every field of the record that the event carries.

    A null of a CREATE may be a field hidden from us, and nothing older is known that it could replace. An UNDELETE
    may follow a known value that the same transaction emptied, so its nulls are claimed.
    """
    fields: dict[str, Value] = {}
    unclear = False
    for path, field in places.items():
        raw = _raw(event, path)
        if isinstance(raw, Mapping):  # a person's name in parts: how it is put together is not in the event
            unclear = True
        elif (value := _canonical(field, raw)) is not None or nulls:
            fields[field.name] = value
    return _Content(fields, unclear)


def _updated(event: Event, layout: bitmaps.Layout, places: Mapping[Path, Field]) -> _Content:
    """An UPDATE: a null is a value only where its bit says so; a diff cannot be applied without the old value."""
    head = event[_HEADER]
    changed = bitmaps.decode(head["changedFields"], layout)
    nulled = bitmaps.decode(head["nulledFields"], layout)
    diffs = bitmaps.decode(head["diffFields"], layout)
    fields: dict[str, Value] = {}
    unclear = False
    for path, field in places.items():
        raw = _raw(event, path)
        if _holds(nulled, path):
            fields[field.name] = None
        elif not _touches(changed, path, raw):
            continue
        elif raw is None or isinstance(raw, Mapping) or _holds(diffs, path):
            unclear = True
        else:
            fields[field.name] = _canonical(field, raw)
    return _Content(fields, unclear)


def _holds(paths: frozenset[Path], path: Path) -> bool:
    """Whether a set has a field, or the whole compound field that it is a part of."""
    return path in paths or (bool(path.part) and Path(path.field) in paths)


def _touches(changed: frozenset[Path], path: Path, raw: Any) -> bool:
    """As `_holds`; a name in parts changes with any of its parts."""
    return _holds(changed, path) or (isinstance(raw, Mapping) and any(other.field == path.field for other in changed))


def _raw(event: Event, path: Path) -> Any:
    value = event.get(path.field)
    if not path.part:
        return value
    return value.get(path.part) if isinstance(value, Mapping) else None


def _canonical(field: Field, raw: Any) -> Value:
    try:
        return scalar_from_avro(field.type, raw)
    except ValueError as error:
        # Without the value: this sentence is kept with the dead letters.
        raise ValueError(f"{field.name} is mapped as {field.type}, its value is none") from error


def _change(
    head: Header, record_id: ids.RecordId, kind: Kind, fields: dict[str, Value], replay_id: str
) -> RecordChange:
    return RecordChange(
        kind=kind,
        object=head.entity,
        record_id=record_id,
        version=head.version,
        origin="cdc",
        fields=fields,
        committed_at=versions.moment(head.committed_ms),
        replay_id=replay_id,
        transaction_key=head.transaction_key,
        sequence=head.sequence,
        commit_number=str(head.commit_number),
    )
