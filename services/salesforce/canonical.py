"""Canonical values: the same value has one form, by whatever way it came (Avro, REST JSON, Bulk CSV).

Salesforce's Avro carries every number but Integer as an IEEE double. So a decimal goes through a double on every
way, and its shortest text is its value: otherwise one price read by two ways would be two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas import ids
from schemas.mapping import FieldType, ObjectMapping

Value = str | int | bool | None
"""text, decimal, date, datetime, id -> str; integer -> int; boolean -> bool; null -> None. Never a float."""

SYSTEM_FIELDS: dict[str, FieldType] = {"Id": "id", "IsDeleted": "boolean", "SystemModstamp": "datetime"}
"""Fields of every object that no mapping names."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_rest(mapping: ObjectMapping, record: Mapping[str, Any]) -> dict[str, Value]:
    """Mapped fields of a REST record, with Id (18 characters), IsDeleted and SystemModstamp where selected.

    A field that the record does not have is absent. Raises ValueError naming the field that does not fit its type.
    """
    return _fields(mapping, record, scalar_from_json)


def from_csv(mapping: ObjectMapping, row: Mapping[str, str | None]) -> dict[str, Value]:
    """As `from_rest`, of a Bulk row."""
    return _fields(mapping, row, scalar_from_text)


def _fields(
    mapping: ObjectMapping, record: Mapping[str, Any], scalar: Callable[[FieldType, Any], Value]
) -> dict[str, Value]:
    kinds = {**SYSTEM_FIELDS, **{field.name: field.type for field in mapping.fields.values()}}
    found: dict[str, Value] = {}
    for name in (name for name in kinds if name in record):
        try:
            found[name] = scalar(kinds[name], record[name])
        except ValueError as error:
            raise ValueError(f"{mapping.name}.{name} is mapped as {kinds[name]}: {error}") from error
    return found


def scalar_from_text(kind: FieldType, value: str | None) -> Value:
    """Canonical form of a CSV value, in which the empty string is null."""
    return _FROM_TEXT[kind](value) if value else None


def scalar_from_json(kind: FieldType, value: object) -> Value:
    """Canonical form of a REST value."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return _FROM_TEXT[kind](value)
    return _from_primitive(kind, value)


def scalar_from_avro(kind: FieldType, value: object) -> Value:
    """Canonical form of one Avro scalar: str, int, float or bool; longs are epoch ms for date and datetime."""
    if kind in ("date", "datetime") and isinstance(value, int) and not isinstance(value, bool):
        return _from_epoch_ms(kind, value)
    return scalar_from_json(kind, value)


def _from_primitive(kind: FieldType, value: object) -> Value:
    if kind == "boolean" and isinstance(value, bool):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if kind == "decimal":
            return _decimal(value)
        if kind == "integer":
            return _integer(value)
    raise ValueError(f"a {type(value).__name__} does not fit")


def _from_epoch_ms(kind: FieldType, value: int) -> str:
    try:
        moment = _EPOCH + timedelta(milliseconds=value)
    except OverflowError as error:
        raise ValueError("a time beyond the calendar") from error
    return moment.date().isoformat() if kind == "date" else _stamp(moment)


def _text(value: str) -> str | None:
    """Text as every store can hold it: PostgreSQL has no NUL, UTF-8 has no lone surrogate."""
    clean = value.replace("\x00", "")
    if not clean.isascii():
        clean = clean.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return clean or None


def _boolean(value: str) -> bool:
    match value.lower():
        case "true":
            return True
        case "false":
            return False
    raise ValueError(f"{value[:24]!r} is neither true nor false")


def _decimal(value: str | float) -> str:
    """Shortest text of the nearest double, without exponent or trailing zeros."""
    number = Decimal(repr(float(value)))
    if not number.is_finite():
        raise ValueError("not a finite number")
    return format(number.normalize() if number else Decimal(0), "f")


def _integer(value: str | float) -> int:
    number = Decimal(_decimal(value))
    if number != number.to_integral_value():
        raise ValueError("not a whole number")
    return int(number)


def _date(value: str) -> str:
    return date.fromisoformat(value).isoformat()


def _datetime(value: str) -> str:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return _stamp(moment.astimezone(UTC))


def _stamp(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


_FROM_TEXT: dict[FieldType, Callable[[str], Value]] = {
    "text": _text,
    "boolean": _boolean,
    "decimal": _decimal,
    "integer": _integer,
    "date": _date,
    "datetime": _datetime,
    "id": ids.parse,
}
