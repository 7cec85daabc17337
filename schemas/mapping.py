"""The field mapping: which Salesforce field fills which column. Data in `mapping.toml`, read here.

The keep-list of the decoder and the SELECT of every read are the same list, so only mapped fields ever
enter Kafka, and personal data stays in Salesforce.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

FieldType = Literal["text", "boolean", "decimal", "integer", "date", "datetime", "id"]
DEFAULT_FILE = Path(__file__).with_name("mapping.toml")


class MappingError(ValueError):
    """The mapping file is wrong; the message names every fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One mapped Salesforce field.

    column: shadow column it fills, None where it lives in raw_payload only
    answer: its name in the gateway's answers, None where it has a column or stays inside
    required: a record in which it is unknown or null is kept and not shown
    """

    name: str
    type: FieldType
    column: str | None = None
    answer: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMapping:
    """One shadowed Salesforce object."""

    name: str
    table: str
    key: str
    fields: MappingABC[str, Field]
    constants: MappingABC[str, str]
    _by_column: dict[str, Field] = field(init=False, repr=False, compare=False)
    _required: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_column = {each.column: each for each in self.fields.values() if each.column is not None}
        object.__setattr__(self, "_by_column", by_column)
        object.__setattr__(self, "_required", tuple(each.name for each in self.fields.values() if each.required))

    @property
    def select(self) -> tuple[str, ...]:
        """Fields of a full read, in file order, `Id` and the system fields first."""
        return ("Id", "IsDeleted", "SystemModstamp", *self.fields)

    def field_of(self, column: str) -> Field | None:
        """The field that fills a column; None where a constant does, or nothing."""
        return self._by_column.get(column)

    def value_of(self, column: str, payload: MappingABC[str, Any]) -> Any:
        """Value of a column for a payload in canonical form; None when unknown or null."""
        if column in self.constants:
            return self.constants[column]
        source = self._by_column.get(column)
        return None if source is None else payload.get(source.name)

    def missing(self, payload: MappingABC[str, Any]) -> tuple[str, ...]:
        """Required fields that are unknown or null in a payload, so that the record cannot be shown."""
        return tuple(name for name in self._required if payload.get(name) is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusMapping:
    """What the statuses of an order mean, and which platform event reports them."""

    terminal: frozenset[str]
    event: MappingABC[str, str]
    messages: MappingABC[str, str]
    reasons: MappingABC[str, str]

    def message(self, status: str, reason: str | None) -> str | None:
        """The catalogue's sentence; a reason's own sentence wins over the status's."""
        if reason is not None and reason in self.reasons:
            return self.reasons[reason]
        return self.messages.get(status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    objects: MappingABC[str, ObjectMapping]
    order_status: StatusMapping


def load(path: Path | None = None) -> Mapping:
    """Read and check a mapping file; MappingError names every fault at once."""
    file = path or DEFAULT_FILE
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise MappingError(f"mapping file {file.name}: {error}") from error
    faults: list[str] = []
    objects = {name: _object(name, raw, faults) for name, raw in data.get("objects", {}).items()}
    status = _status(data.get("order_status", {}), faults)
    faults += [f"objects.{name} is missing" for name in _REQUIRED_OBJECTS if name not in objects]
    if faults:
        raise MappingError(f"mapping file {file.name}: " + "; ".join(faults))
    return Mapping(objects=objects, order_status=status)


COLUMNS: dict[str, frozenset[str]] = {
    "Product2": frozenset({"sku", "name", "item_class", "offering_type", "plan_tier", "vpn_region"}),
    "PricebookEntry": frozenset({"product_id", "pricebook_id", "unit_price", "currency_iso_code", "is_active"}),
    "Account": frozenset({"internet_eligibility", "eligibility_source"}),
    "Order": frozenset(
        {"account_id", "order_number", "effective_date", "total_amount", "currency_iso_code", "created_date"}
    ),
}
"""Columns that a field may fill: a mapping says which field fills a column, it makes no columns."""

_REQUIRED_OBJECTS = tuple(COLUMNS)
_FIELD_KEYS = {"type", "column", "answer", "required"}
_EVENT_KEYS = ("object", "order_id", "status")


def _object(name: str, raw: dict[str, Any], faults: list[str]) -> ObjectMapping:
    faults += [f"objects.{name}.{key} is missing" for key in ("table", "key", "fields") if key not in raw]
    fields = {field: _field(name, field, spec, faults) for field, spec in raw.get("fields", {}).items()}
    constants = dict(raw.get("constants", {}))
    faults += _doubled(name, fields, constants) + _unknown(name, fields, constants)
    return ObjectMapping(
        name=name, table=raw.get("table", ""), key=raw.get("key", ""), fields=fields, constants=constants
    )


def _doubled(name: str, fields: dict[str, Field], constants: dict[str, str]) -> list[str]:
    filled = [field.column for field in fields.values() if field.column] + list(constants)
    return [f"objects.{name}: column {c} is filled twice" for c in sorted({c for c in filled if filled.count(c) > 1})]


def _unknown(name: str, fields: dict[str, Field], constants: dict[str, str]) -> list[str]:
    filled = {field.column for field in fields.values() if field.column} | set(constants)
    there = COLUMNS.get(name, frozenset())
    return [
        f"objects.{name}: there is no column {column} to fill, only {', '.join(sorted(there))}; `answer` needs none"
        for column in sorted(filled - there)
    ]


def _field(owner: str, name: str, spec: dict[str, Any], faults: list[str]) -> Field:
    where = f"objects.{owner}.fields.{name}"
    faults += [f"{where}: unknown key {key}" for key in sorted(spec.keys() - _FIELD_KEYS)]
    kind = spec.get("type", "text")
    if kind not in get_args(FieldType):
        faults.append(f"{where}: type {kind!r} is none of {', '.join(get_args(FieldType))}")
    return Field(
        name=name,
        type=kind,
        column=spec.get("column"),
        answer=spec.get("answer"),
        required=bool(spec.get("required", False)),
    )


def _status(raw: dict[str, Any], faults: list[str]) -> StatusMapping:
    event = raw.get("event", {})
    faults += [f"order_status.event.{key} is missing" for key in _EVENT_KEYS if key not in event]
    return StatusMapping(
        terminal=frozenset(raw.get("terminal", ())),
        event=event,
        messages=raw.get("messages", {}),
        reasons=raw.get("reasons", {}),
    )
