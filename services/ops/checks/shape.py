"""Whether the org's objects are as the mapping and the order door take them to be, by their describes. Pure.

A describe shows only what the user may see; an event's schema shows every field. A field in the second alone is hidden.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from schemas.mapping import Field, ObjectMapping
from services.gateway.ordering import DRAFT, HASH_FIELD, KEY_FIELD
from services.ops.checks.findings import Finding, fail, ok, warn

Describe = Mapping[str, Any]
DEPLOY = "deploy deploy/salesforce (sf project deploy start --source-dir force-app)"
ASSIGN = "give the integration user the permission set Umbra_Integration"
_MAPPING = "the mapping file (UMBRA_MAPPING_FILE)"
_CURRENCY = "CurrencyIsoCode"
_HASH_LENGTH = hashlib.sha256().digest_size * 2
_ORDER, _ITEM = "Order", "OrderItem"
_ITEM_FIELDS = ("OrderId", "PricebookEntryId", "Quantity", "UnitPrice")
TYPES: dict[str, frozenset[str]] = {
    "text": frozenset(
        {"string", "textarea", "picklist", "multipicklist", "combobox", "phone", "url", "email", "encryptedstring"}
    ),
    "boolean": frozenset({"boolean"}),
    "decimal": frozenset({"currency", "double", "percent", "int", "long"}),
    "integer": frozenset({"int", "long"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"datetime"}),
    "id": frozenset({"id", "reference"}),
}
"""Types of a describe whose values can be read as a mapped type."""


def fields_of(describe: Describe) -> dict[str, Mapping[str, Any]]:
    return {field["name"]: field for field in describe.get("fields", ())}


def examine(mapping: ObjectMapping, describe: Describe, in_events: Collection[str] | None) -> list[Finding]:
    """An object that is shadowed: may it be read, and is every mapped field there, visible and of its type?

    in_events: fields of its change event's schema, hidden ones included; None where the schema is not known
    """
    check = f"salesforce.mapping.{mapping.name}"
    if not describe.get("queryable"):
        return [fail(check, f"{mapping.name} cannot be read", ASSIGN)]
    there = fields_of(describe)
    found = [*_currency(check, mapping, there)]
    for field in mapping.fields.values():
        if field.name == _CURRENCY and field.name not in there:
            continue
        found += _field(check, mapping, field, there.get(field.name), in_events)
    return found or [ok(check, f"{len(mapping.fields)} fields are there, visible and of the mapped types")]


def _currency(check: str, mapping: ObjectMapping, there: Mapping[str, Any]) -> Iterator[Finding]:
    """An org without multi-currency has no CurrencyIsoCode; one with it has no single currency."""
    column = "currency_iso_code"
    if _CURRENCY in mapping.fields and _CURRENCY not in there:
        yield fail(
            check,
            f"{mapping.name} has no {_CURRENCY}: this org has one currency",
            f"in {_MAPPING} remove {_CURRENCY} from [objects.{mapping.name}.fields] and add "
            f'[objects.{mapping.name}.constants] {column} = "CODE", the org\'s currency (Setup, Company Information)',
        )
    if column in mapping.constants and _CURRENCY in there:
        yield fail(
            check,
            f"every {mapping.name} is taken for {mapping.constants[column]}, and this org has several currencies",
            f"in {_MAPPING} remove {column} from [objects.{mapping.name}.constants] and add to "
            f'[objects.{mapping.name}.fields] {_CURRENCY} = {{ type = "text", column = "{column}" }}',
        )


def _field(
    check: str, mapping: ObjectMapping, field: Field, there: Mapping[str, Any] | None, in_events: Collection[str] | None
) -> Iterator[Finding]:
    name = f"{mapping.name}.{field.name}"
    if there is None:
        yield _missing(check, name, field, in_events)
    elif there["type"] not in TYPES[field.type]:
        fitting = next((ours for ours, theirs in TYPES.items() if there["type"] in theirs), None)
        remedy = f'map it as type = "{fitting}" in {_MAPPING}' if fitting else f"remove it from {_MAPPING}"
        yield fail(check, f"{name} is of type {there['type']}, mapped as {field.type}", remedy)
    elif field.column == "unit_price" and int(there.get("scale", 0)) > 2:
        yield warn(
            check,
            f"{name} has {there['scale']} decimals: a price that uses more than two is kept and not shown",
            "let it have two decimals in the org",
        )


def _missing(check: str, name: str, field: Field, in_events: Collection[str] | None) -> Finding:
    if in_events is not None and field.name in in_events:
        return fail(
            check,
            f"{name} is hidden from the integration user, so it would stay empty for ever",
            f"{ASSIGN}; a field that it does not name: Setup, Permission Sets, Umbra Integration, Object Settings, "
            f"give it Read on {name}",
        )
    if field.name.endswith("__c"):
        return fail(check, f"there is no {name}", f"{DEPLOY}, or map the org's own field in {_MAPPING}")
    return fail(check, f"there is no {name}, or it is hidden", f"give Read on {name}, or remove it from {_MAPPING}")


def ordering(order: Describe, item: Describe, statuses: Collection[str]) -> list[Finding]:
    """May orders and their lines be inserted, once each? statuses: those that the mapping gives a meaning."""
    check = "salesforce.orders"
    found = [*_insertable(check, order, item), *_writable(check, order, item), *_key(check, order)]
    found += _statuses(check, order, statuses)
    return found or [ok(check, f"orders and lines can be inserted, {KEY_FIELD} is unique")]


def _insertable(check: str, order: Describe, item: Describe) -> Iterator[Finding]:
    if not order.get("createable") or not order.get("updateable"):
        yield fail(check, "the user may not create and edit Order, which its lines need too", ASSIGN)
    if not item.get("createable"):
        yield fail(
            check,
            "the user may not create OrderItem",
            f"{ASSIGN}; orders have to be enabled: Setup, Order Settings",
        )


def _writable(check: str, order: Describe, item: Describe) -> Iterator[Finding]:
    wanted = {_ORDER: ("AccountId", "EffectiveDate", "Status", "Pricebook2Id", KEY_FIELD, HASH_FIELD)}
    for name, describe, names in ((_ORDER, order, wanted[_ORDER]), (_ITEM, item, _ITEM_FIELDS)):
        there = fields_of(describe)
        for field in names:
            if field not in there:
                remedy = f"{DEPLOY}; {ASSIGN}" if field.endswith("__c") else f"give Edit on {name}.{field}"
                yield fail(check, f"there is no {name}.{field}, or it is hidden", remedy)
            elif not there[field].get("createable"):
                yield fail(check, f"{name}.{field} cannot be written", f"{ASSIGN}; else give Edit on {name}.{field}")


def _key(check: str, order: Describe) -> Iterator[Finding]:
    there = fields_of(order)
    key = there.get(KEY_FIELD)
    if key is not None and not (key.get("unique") and key.get("externalId")):
        yield fail(
            check,
            f"{KEY_FIELD} is not unique, so a repeated request would order twice",
            f"{DEPLOY}: it makes the field unique and an external id; duplicates in the org have to go first",
        )
    for name in (KEY_FIELD, HASH_FIELD):
        if name in there and int(there[name].get("length", 0)) < _HASH_LENGTH:
            yield fail(check, f"{name} is shorter than the {_HASH_LENGTH} characters that it has to hold", DEPLOY)


def _statuses(check: str, order: Describe, statuses: Collection[str]) -> Iterator[Finding]:
    status = fields_of(order).get("Status")
    known = {value["value"] for value in (status or {}).get("picklistValues", ()) if value.get("active", True)}
    if not known:
        return
    if DRAFT not in known:
        yield fail(
            check,
            f"an order cannot have the status {DRAFT}, with which Umbra inserts it",
            f"Setup, Object Manager, Order, Status: add {DRAFT} with the category Draft",
        )
    unknown = sorted(set(statuses) - known - {DRAFT})
    if unknown:
        yield warn(
            check,
            f"the mapping speaks of statuses that an order cannot have: {', '.join(unknown)}",
            "Setup, Object Manager, Order, Status: add them (category Activated), or change [order_status] in "
            f"{_MAPPING} to the org's own",
        )
