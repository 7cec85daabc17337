"""Canonical values: the same value has one form, by whatever way it came (Avro, REST JSON, Bulk CSV)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.mapping import FieldType, ObjectMapping

Value = str | int | bool | None
"""text, decimal, date, datetime, id -> str; integer -> int; boolean -> bool; null -> None. Never a float."""


def from_rest(mapping: ObjectMapping, record: Mapping[str, Any]) -> dict[str, Value]:
    """Mapped fields of a REST record, with Id (18 characters), IsDeleted and SystemModstamp where selected.

    A field that the record does not have is absent. Raises ValueError naming the field that does not fit its type.
    """
    raise NotImplementedError


def from_csv(mapping: ObjectMapping, row: Mapping[str, str | None]) -> dict[str, Value]:
    """As `from_rest`, of a Bulk row."""
    raise NotImplementedError


def scalar_from_avro(kind: FieldType, value: object) -> Value:
    """Canonical form of one Avro scalar: str, int, float or bool; longs are epoch ms for date and datetime."""
    raise NotImplementedError
