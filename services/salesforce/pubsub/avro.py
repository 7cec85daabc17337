"""Events are bare Avro data under the schema that each one names: parsed once by id, decoded to the last byte."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException

from services.kernel.errors import Poison
from services.salesforce.pubsub.bitmaps import Layout, Slot

Event = Mapping[str, Any]
"""A decoded event: its fields by name, records as mappings."""

KEPT = 256
"""Schemas kept in memory; an org has one for each version of each selected entity."""


class Undecodable(Poison):
    """The bytes of an event, or its schema, cannot be read; trying again will not help."""


@dataclass(frozen=True, slots=True)
class EventSchema:
    """One version of one event's schema."""

    id: str
    name: str
    layout: Layout
    _parsed: Any = field(repr=False)

    def decode(self, payload: bytes) -> Event:
        """Raises Undecodable when the bytes do not fit or are not used up."""
        stream = io.BytesIO(payload)
        try:
            event: Any = fastavro.schemaless_reader(stream, self._parsed, None)
        except (ValueError, EOFError, IndexError, OverflowError, KeyError, TypeError) as error:
            raise Undecodable(f"the payload does not fit {self.name}: {type(error).__name__}") from error
        if stream.tell() != len(payload):
            raise Undecodable(f"{len(payload) - stream.tell()} bytes are left over after {self.name}")
        if not isinstance(event, dict):
            raise Undecodable(f"{self.name} is no record")
        return event


def parse(schema_id: str, text: str) -> EventSchema:
    """A schema from its JSON; raises Undecodable when it is none."""
    try:
        declared = json.loads(text)
        parsed: Any = fastavro.parse_schema(declared)
        layout = _layout(declared)
    except (ValueError, KeyError, TypeError, SchemaParseException) as error:
        raise Undecodable(f"schema {schema_id[:40]!r} cannot be parsed: {type(error).__name__}") from error
    return EventSchema(schema_id, str(declared.get("name", "")), layout, parsed)


def _layout(declared: Mapping[str, Any]) -> Layout:
    """The header is no compound field, though it is a record: bitmaps speak of data only."""
    records: dict[str, tuple[str, ...]] = {}
    slots = [Slot(item["name"], _parts(item["type"], records)) for item in declared["fields"]]
    return tuple(Slot(slot.name) if slot.name == "ChangeEventHeader" else slot for slot in slots)


def _parts(kind: Any, records: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Names of the parts of the record in a type, directly or in a union; empty where there is none.

    A record is declared where it is first used and referred to by name afterwards.
    """
    match kind:
        case list():
            return next((parts for branch in kind if (parts := _parts(branch, records))), ())
        case {"type": "record", "name": name, "fields": fields}:
            records[name.rpartition(".")[2]] = tuple(part["name"] for part in fields)
            return records[name.rpartition(".")[2]]
        case str():
            return records.get(kind.rpartition(".")[2], ())
        case _:
            return ()


class SchemaCache:
    """Schemas by id, never by topic: one response may mix ids, and older events keep theirs."""

    def __init__(self, fetch: Callable[[str], Awaitable[str]]) -> None:
        self._fetch = fetch
        self._known: dict[str, EventSchema] = {}

    async def get(self, schema_id: str) -> EventSchema:
        """Raises Undecodable for a schema that cannot be parsed, and what fetching raises."""
        known = self._known.get(schema_id)
        return known or self._keep(parse(schema_id, await self._fetch(schema_id)))

    def _keep(self, schema: EventSchema) -> EventSchema:
        if len(self._known) >= KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[schema.id] = schema
        return schema
