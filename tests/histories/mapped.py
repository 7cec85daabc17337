"""What the histories shadow: fields of every form, text, long text, parts of a compound field, numbers, dates, ids."""

from __future__ import annotations

from typing import Any

from sandbox.salesforce.org import Org
from sandbox.salesforce.schema import Record
from sandbox.salesforce.values import to_json
from schemas import mapping
from schemas.mapping import Field, FieldType, Mapping, ObjectMapping
from services.salesforce import canonical

_FIELDS: dict[str, dict[str, FieldType]] = {
    "Product2": {
        "Name": "text",
        "StockKeepingUnit": "text",
        "IsActive": "boolean",
        "Description": "text",
        "Item_Class__c": "text",
        "LastModifiedDate": "datetime",
    },
    "PricebookEntry": {
        "Name": "text",  # derived from the product: in no event
        "Product2Id": "id",
        "UnitPrice": "decimal",
        "IsActive": "boolean",
        "CurrencyIsoCode": "text",
    },
    "Account": {
        "Name": "text",
        "BillingStreet": "text",
        "BillingCity": "text",
        "Internet_Eligibility__c": "text",
        "LastModifiedDate": "datetime",
    },
    "Order": {"AccountId": "id", "Status": "text", "EffectiveDate": "date", "BillingCity": "text"},
}
OBJECTS = tuple(_FIELDS)
DERIVED = (("PricebookEntry", "Name"),)
"""What follows another record, and is only as new as the last full read."""


def _object(name: str, fields: dict[str, FieldType]) -> ObjectMapping:
    named = {field: Field(name=field, type=kind) for field, kind in fields.items()}
    return ObjectMapping(name=name, table="", key="", fields=named, constants={})


MAPPING = Mapping(
    objects={name: _object(name, fields) for name, fields in _FIELDS.items()},
    order_status=mapping.load().order_status,
)


def as_rest(org: Org, object_name: str, record: Record) -> dict[str, Any]:
    """A record as a REST answer has it, with the fields that a full read selects."""
    obj = org.objects[object_name]
    names = MAPPING.objects[object_name].select
    return {name: to_json(obj.by_name[name], org.store.value(obj, record, name)) for name in names}


def fields_of(org: Org, object_name: str, record: Record) -> dict[str, Any]:
    """Its mapped fields in canonical form."""
    found = canonical.from_rest(MAPPING.objects[object_name], as_rest(org, object_name, record))
    return {name: found[name] for name in MAPPING.objects[object_name].fields}
