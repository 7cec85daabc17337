"""What a batch of records says, decoded and joined per record. Pure: bytes in, states and marks out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from schemas import events, ids, topics
from schemas.events import OrderStatus, RecordChange, Watermark
from schemas.join import ALIVE, State, join, state_of
from schemas.mapping import FieldType, ObjectMapping
from schemas.mapping import Mapping as FieldMapping
from services.kernel.errors import Poison
from services.projector.log import LogRecord, Place


class Key(NamedTuple):
    """A record of Salesforce."""

    object: str
    record_id: str


Event = RecordChange | Watermark | OrderStatus


class Decoded(NamedTuple):
    """A record of the log and what it says.

    fault: why it cannot be used, without any value of it; then there is no event
    """

    record: LogRecord
    event: Event | None
    stage: Literal["decode", "apply"] = "decode"
    fault: str | None = None


@dataclass(slots=True)
class Batch:
    """What some records of the log say together.

    changes: for each record of Salesforce, the join of all that was said of it
    places: a partition that spoke of it, which carries the cache tags it moves
    marks: with the partition that they came from
    """

    changes: dict[Key, State] = field(default_factory=dict)
    places: dict[Key, Place] = field(default_factory=dict)
    statuses: list[OrderStatus] = field(default_factory=list)
    marks: list[tuple[Place, Watermark]] = field(default_factory=list)
    rejected: list[Decoded] = field(default_factory=list)


_VERSION = re.compile(r"\d{14}[01]\d{25}")
_STATUS_VERSION = re.compile(r"\d{14}[01]\d{26}[0-9a-f]{24}")
_DECIMAL = re.compile(r"-?\d{1,40}(\.\d{1,40})?")


def decode_all(records: Iterable[LogRecord], mapping: FieldMapping) -> list[Decoded]:
    """Decode each record; one that cannot be used is kept with its fault."""
    return [_decoded(record, mapping) for record in records]


def _decoded(record: LogRecord, mapping: FieldMapping) -> Decoded:
    try:
        return Decoded(record, decode(record, mapping))
    except Poison as error:
        return Decoded(record, None, fault=str(error))


def fold(decoded: Iterable[Decoded], into: Batch | None = None) -> Batch:
    """Join what is said of each record of Salesforce, with what `into` holds already."""
    batch = Batch() if into is None else into
    for each in decoded:
        if each.event is None:
            batch.rejected.append(each)
        else:
            _add(batch, each.record.place, each.event)
    return batch


def _add(batch: Batch, place: Place, event: Event) -> None:
    match event:
        case RecordChange():
            key = Key(event.object, event.record_id)
            known = batch.changes.get(key)
            new = state_of(event)
            batch.changes[key] = new if known is None else join(known, new)
            batch.places[key] = place
        case OrderStatus():
            batch.statuses.append(event)
            batch.places[Key("Order", event.order_id)] = place
        case Watermark():
            batch.marks.append((place, event))


def decode(record: LogRecord, mapping: FieldMapping) -> Event:
    """Decode and check one record; Poison says why it can never be used, without any value of it."""
    if record.value is None:
        raise Poison("it has no value")
    try:
        if record.place.topic == topics.ORDER_STATUS.name:
            return _checked_status(events.decode_status(record.value))
        event = events.decode_change(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Poison(f"it does not decode: {_without_values(error)}") from error
    name = topics.OBJECT_OF.get(record.place.topic)
    if name is None or event.object != name:
        raise Poison(f"it speaks of another object than the topic of {name}")
    if isinstance(event, RecordChange):
        _check_change(event, record.key, mapping.objects[name])
    else:
        _check_mark(event)
    return event


def _without_values(error: Exception) -> str:
    """msgspec quotes only values of enumerations; a malformed text it reports by position."""
    return str(error)[:200] if isinstance(error, msgspec.ValidationError) else type(error).__name__


def _check_change(change: RecordChange, key: bytes | None, mapping: ObjectMapping) -> None:
    _check_id(change.record_id)
    if key != change.record_id.encode():
        raise Poison("its key is not its record id")
    if not _VERSION.fullmatch(change.version):
        raise Poison("its version is malformed")
    if not isinstance(change.fields.get(ALIVE, False), bool):
        raise Poison(f"{ALIVE} is no boolean")
    for name, value in change.fields.items():
        known = mapping.fields.get(name)
        if value is not None and known is not None and not is_canonical(known.type, value):
            raise Poison(f"{name} is no canonical {known.type}")


def _check_mark(mark: Watermark) -> None:
    times = (mark.covered_from, mark.covered_until, mark.hole_from, mark.hole_to)
    if any(time is not None and time.tzinfo is None for time in times):
        raise Poison("its time has no zone")


def _checked_status(status: OrderStatus) -> OrderStatus:
    _check_id(status.order_id)
    if status.account_id is not None:
        _check_id(status.account_id)
    if not _STATUS_VERSION.fullmatch(status.version):
        raise Poison("its version is malformed")
    if status.occurred_at.tzinfo is None:
        raise Poison("its time has no zone")
    return status


def _check_id(text: str) -> None:
    try:
        if ids.parse(text) != text:
            raise Poison("its id has not 18 characters")
    except ValueError as error:
        raise Poison("its id is no Salesforce id") from error


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 10 and _reads(date.fromisoformat, value)


def _is_datetime(value: Any) -> bool:
    return isinstance(value, str) and value.endswith("Z") and _reads(datetime.fromisoformat, value)


def _reads(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


_CANONICAL: Mapping[FieldType, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str) and value != "",
    "boolean": lambda value: isinstance(value, bool),
    "decimal": lambda value: isinstance(value, str) and _DECIMAL.fullmatch(value) is not None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "date": _is_date,
    "datetime": _is_datetime,
    "id": lambda value: isinstance(value, str) and len(value) == 18,
}


def is_canonical(kind: FieldType, value: Any) -> bool:
    """Whether a value that is not null has the one form that its type has in the log."""
    return _CANONICAL[kind](value)
