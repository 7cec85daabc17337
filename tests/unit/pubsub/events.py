"""Change events as a test writes them: fields by name; the bitmaps are set here, by arithmetic of the test's own."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

import fastavro

from services.salesforce.pubsub import avro
from services.salesforce.pubsub.avro import EventSchema

REPLAY = "00000000000a"
COMMIT_MS = 1_767_225_600_000
COMMIT_NUMBER = 1_709_303_151_782_928_388

_STRINGS = {"type": "array", "items": "string"}
_TYPES = [
    "CREATE",
    "UPDATE",
    "DELETE",
    "UNDELETE",
    "GAP_CREATE",
    "GAP_UPDATE",
    "GAP_DELETE",
    "GAP_UNDELETE",
    "GAP_OVERFLOW",
    "SNAPSHOT",
    "ARCHIVE",
]
HEADER = {
    "type": "record",
    "name": "ChangeEventHeader",
    "fields": [
        {"name": "entityName", "type": "string"},
        {"name": "recordIds", "type": _STRINGS},
        {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": _TYPES}},
        {"name": "changeOrigin", "type": "string"},
        {"name": "transactionKey", "type": "string"},
        {"name": "sequenceNumber", "type": "int"},
        {"name": "commitTimestamp", "type": "long"},
        {"name": "commitNumber", "type": "long"},
        {"name": "commitUser", "type": "string"},
        {"name": "nulledFields", "type": _STRINGS},
        {"name": "diffFields", "type": _STRINGS},
        {"name": "changedFields", "type": _STRINGS},
    ],
}
PERSON = {
    "type": "record",
    "name": "Switchable_PersonName",
    "fields": [{"name": n, "type": ["null", "string"]} for n in ("Salutation", "FirstName", "LastName")],
}
ADDRESS = {
    "type": "record",
    "name": "Address",
    "fields": [{"name": n, "type": ["null", "string"]} for n in ("Street", "City", "PostalCode")]
    + [{"name": "Latitude", "type": ["null", "double"]}],
}


def schema(entity: str, fields: dict[str, Any]) -> EventSchema:
    """A change event's schema: the header, then the fields in order, each a type or a whole union."""
    declared = [{"name": "ChangeEventHeader", "type": HEADER}] + [
        {"name": name, "type": kind if isinstance(kind, list) else ["null", kind], "default": None}
        for name, kind in fields.items()
    ]
    text = json.dumps(
        {"type": "record", "name": f"{entity}ChangeEvent", "namespace": "com.sforce.eventbus", "fields": declared}
    )
    return avro.parse("schema-of-" + entity, text)


def event(
    of: EventSchema,
    change_type: str,
    ids: Iterable[str],
    body: dict[str, Any] | None = None,
    *,
    changed: Iterable[str] = (),
    nulled: Iterable[str] = (),
    diffs: Iterable[str] = (),
    commit_ms: int = COMMIT_MS,
) -> avro.Event:
    """An event that went through its bytes."""
    header = {
        "entityName": of.name.removesuffix("ChangeEvent"),
        "recordIds": list(ids),
        "changeType": change_type,
        "changeOrigin": "",
        "transactionKey": "00001983-4fdf-b2cf-3f09-22bfd2e31173",
        "sequenceNumber": 1,
        "commitTimestamp": commit_ms,
        "commitNumber": COMMIT_NUMBER,
        "commitUser": "0055J000001D89MQAS",
        "nulledFields": bits(of, nulled),
        "diffFields": bits(of, diffs),
        "changedFields": bits(of, changed),
    }
    return of.decode(payload(of, {"ChangeEventHeader": header, **(body or {})}))


def payload(of: EventSchema, value: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, of._parsed, value)
    return stream.getvalue()


def bits(of: EventSchema, names: Iterable[str]) -> list[str]:
    """`Field` and `Parent.Part` names as bitmaps."""
    order = [slot.name for slot in of.layout]
    top = 0
    parts: dict[int, int] = {}
    for name in names:
        parent, _, part = name.partition(".")
        index = order.index(parent)
        if part:
            parts[index] = parts.get(index, 0) | 1 << of.layout[index].parts.index(part)
        else:
            top |= 1 << index
    return ([hexed(top)] if top else []) + [f"{index}-{hexed(value)}" for index, value in sorted(parts.items())]


def hexed(value: int) -> str:
    digits = f"{value:X}"
    return "0x" + digits.zfill(len(digits) + len(digits) % 2)
