"""Avro schemas of the org's events, and where each field sits in them.

Forms as observed in real schemas: the header first, then every field as a union with null, doc `Role:Type`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.salesforce import avro
from sandbox.salesforce.schema import Field, PlatformEvent, SObject

NAMESPACE = "com.sforce.eventbus"
CHANGE_TYPES = (
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
)
_STRINGS = {"type": "array", "items": "string"}
HEADER: dict[str, Any] = {
    "type": "record",
    "name": "ChangeEventHeader",
    "fields": [
        {"name": "entityName", "type": "string"},
        {"name": "recordIds", "type": _STRINGS},
        {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": list(CHANGE_TYPES)}},
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
_PERSON = {
    "type": "record",
    "name": "Switchable_PersonName",
    "fields": [
        {"name": name, "type": ["null", "string"], "doc": "Data:Text", "default": None}
        for name in ("Salutation", "FirstName", "LastName")
    ],
}
# Parts this org never fills are in the schema all the same.
_ADDRESS_PARTS = ("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude", "Xyz", "GeocodeAccuracy")
_AVRO = {
    "boolean": "boolean",
    "currency": "double",
    "double": "double",
    "int": "int",
    "datetime": "long",
    "date": "long",
}
_DOC = {
    "id": "ForeignKey:EntityId",
    "reference": "ForeignKey:EntityId",
    "string": "Data:Text",
    "textarea": "Data:StringPlusClob",
    "picklist": "Data:DynamicEnum",
    "phone": "Data:Phone",
    "url": "Data:Url",
    "email": "Data:Email",
    "boolean": "Data:Boolean",
    "currency": "Data:Currency",
    "double": "Data:Double",
    "int": "Data:Integer",
    "datetime": "Data:DateTime",
    "date": "Data:DateOnly",
}


@dataclass(frozen=True, slots=True)
class EventSchema:
    """One version of an event's schema.  `places` maps a REST field name to its index, or to (parent, part)."""

    name: str
    json: str
    id: str
    places: Mapping[str, tuple[int, int | None]]


def change_event(obj: SObject) -> EventSchema:
    """The schema of an object's change event: derived fields, IsDeleted and SystemModstamp are not in it."""
    fields: list[dict[str, Any]] = [
        {"name": "ChangeEventHeader", "type": HEADER, "doc": "Data:ComplexValueType"},
    ]
    places: dict[str, tuple[int, int | None]] = {}
    compounds: dict[str, int] = {}
    for f in obj.fields:
        if f.event == "none":
            continue
        if f.part:
            if f.event not in compounds:
                compounds[f.event] = len(fields)
                fields.append(_address_field(f.event, first=len(compounds) == 1))
            places[f.name] = (compounds[f.event], _ADDRESS_PARTS.index(f.part))
        else:
            places[f.name] = (len(fields), None)
            fields.append(_field(obj, f))
    return _schema(f"{obj.name}ChangeEvent", fields, places)


def platform_event(event: PlatformEvent) -> EventSchema:
    """The schema of a platform event: who and when are required, its own fields nullable."""
    fields: list[dict[str, Any]] = [
        {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
        {"name": "CreatedById", "type": "string", "doc": "CreatedBy:EntityId"},
    ]
    places = {}
    for f in event.fields:
        places[f.name] = (len(fields), None)
        fields.append(_nullable(f.name, _AVRO.get(f.type, "string"), f"{_DOC[f.type]}:{_field_id(event.name, f)}"))
    return _schema(event.name, fields, places)


def _schema(name: str, fields: list[dict[str, Any]], places: Mapping[str, tuple[int, int | None]]) -> EventSchema:
    text = json.dumps({"name": name, "namespace": NAMESPACE, "type": "record", "fields": fields}, separators=(",", ":"))
    return EventSchema(name, text, avro.schema_id(text), places)


def _nullable(name: str, kind: object, doc: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", kind], "doc": doc, "default": None}


def _field(obj: SObject, f: Field) -> dict[str, Any]:
    if (obj.name, f.name) == ("Account", "Name"):
        return {
            "name": "Name",
            "type": ["null", "string", _PERSON],
            "doc": "Data:SwitchablePersonName",
            "default": None,
        }
    doc = "CreatedDate:DateTime" if f.name == "CreatedDate" else _DOC[f.type]
    if f.custom:
        doc = f"{doc}:{_field_id(obj.name, f)}"
    return _nullable(f.name, _AVRO.get(f.type, "string"), doc)


def _address_field(name: str, *, first: bool) -> dict[str, Any]:
    """Address is declared where it is first used and referred to by name afterwards."""
    record = {
        "type": "record",
        "name": "Address",
        "fields": [
            _nullable(part, "double" if part in ("Latitude", "Longitude") else "string", "Data:Text")
            for part in _ADDRESS_PARTS
        ],
    }
    return _nullable(name, record if first else "Address", "Data:Address")


def _field_id(owner: str, f: Field) -> str:
    """A custom field's own id (prefix 00N), the same in every start."""
    return "00N" + hashlib.sha256(f"{owner}.{f.name}".encode()).hexdigest()[:12]
