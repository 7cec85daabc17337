"""Single records: create, read, update, delete, upsert by external id."""

from collections.abc import Mapping
from typing import Any

from sandbox.salesforce import objects
from sandbox.salesforce.commit import Notice
from sandbox.salesforce.errors import Refused, not_found
from sandbox.salesforce.ids import extend
from sandbox.salesforce.rest.call import Call, Reply
from sandbox.salesforce.schema import Field, Record, SObject, Value
from sandbox.salesforce.soql.rows import attributes, rest_rows
from sandbox.salesforce.transaction import Transaction
from sandbox.salesforce.values import parse, to_json

_SERVER_SET = frozenset({"Id", "attributes"})


def find_object(name: str) -> SObject:
    """An object by name.  Raises Refused (404)."""
    if (obj := objects.find(name)) is None:
        raise not_found()
    return obj


def find_id(text: str) -> str:
    """An 18-character id.  Raises Refused."""
    if (full := extend(text)) is None:
        raise Refused("MALFORMED_ID", f"malformed id {text}", status=400)
    return full


def read_fields(obj: SObject, body: Mapping[str, Any], *, creating: bool) -> dict[str, Value]:
    """The stored form of the fields a client sends.  Raises Refused for unknown and read-only ones."""
    if obj.readonly:
        raise Refused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type {obj.name} does not support changes here")
    values: dict[str, Value] = {}
    for name, raw in body.items():
        if name == "attributes":
            continue
        field = obj.by_lower.get(name.lower())
        if field is None:
            raise Refused("INVALID_FIELD", f"No such column '{name}' on sobject of type {obj.name}")
        if not (field.createable if creating else field.updateable):
            raise Refused(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {field.name}. Please check the security settings of this field.",
                [field.name],
            )
        values[field.name] = parse(field, raw)
    return values


def create(call: Call, object_name: str) -> Reply:
    if object_name in objects.PLATFORM_EVENTS:
        return _publish(call, object_name)
    obj = find_object(object_name)
    values = read_fields(obj, call.object_body(), creating=True)
    with call.transaction() as tx:
        record_id = tx.create(obj, values)
    location = f"{call.base}/sobjects/{obj.name}/{record_id}"
    return Reply(201, {"id": record_id, "success": True, "errors": []}, {"Location": location})


def _publish(call: Call, name: str) -> Reply:
    event = objects.PLATFORM_EVENTS[name]
    known = {f.name: f for f in event.fields}
    body = call.object_body()
    if unknown := [key for key in body if key not in known and key != "attributes"]:
        raise Refused("INVALID_FIELD", f"No such column '{unknown[0]}' on sobject of type {name}")
    fields = {key: parse(known[key], raw) for key, raw in body.items() if key in known}
    with call.transaction() as tx:
        tx.notify(Notice(name, fields))
        event_id = tx.counters.next_id("e00")
    return Reply(201, {"id": event_id, "success": True, "errors": []})


def retrieve(call: Call, object_name: str, record_id: str) -> Reply:
    obj = find_object(object_name)
    with call.transaction() as tx:
        try:
            record = tx.existing(obj, find_id(record_id), call.org.store)
        except Refused as error:
            raise not_found() if error.code in ("NOT_FOUND", "MALFORMED_ID") else error from error
        return Reply(200, show(call, obj, record, call.query.get("fields")))


def show(call: Call, obj: SObject, record: Record, names: str | None = None) -> dict[str, Any]:
    """A record with the named fields (comma-separated), or all of them."""
    if names:
        paths = tuple(tuple(name.strip().split(".")) for name in names.split(","))
        return rest_rows(call.org.store, obj, paths, call.base)(record)
    row: dict[str, Any] = {"attributes": attributes(obj, record, call.base)}
    row.update((f.name, to_json(f, call.org.store.value(obj, record, f.name))) for f in obj.fields)
    return row


def update(call: Call, object_name: str, record_id: str) -> Reply:
    obj = find_object(object_name)
    values = read_fields(obj, call.object_body(), creating=False)
    with call.transaction() as tx:
        tx.update(obj, find_id(record_id), values)
    return Reply(204)


def delete(call: Call, object_name: str, record_id: str) -> Reply:
    obj = find_object(object_name)
    with call.transaction() as tx:
        tx.delete(obj, find_id(record_id))
    return Reply(204)


def retrieve_by(call: Call, object_name: str, field_name: str, value: str) -> Reply:
    obj = find_object(object_name)
    record_id = holder(call.org.store.tables[obj.name].holder, external_id(obj, field_name), value)
    if record_id is None:
        raise not_found()
    return retrieve(call, object_name, record_id)


def upsert_by(call: Call, object_name: str, field_name: str, value: str) -> Reply:
    obj = find_object(object_name)
    field = external_id(obj, field_name)
    body = {k: v for k, v in call.object_body().items() if k.lower() != field.name.lower()}
    with call.transaction() as tx:
        record_id, created = upsert(tx, obj, field, value, body)
    return Reply(201 if created else 200, {"id": record_id, "success": True, "errors": [], "created": created})


def delete_by(call: Call, object_name: str, field_name: str, value: str) -> Reply:
    obj = find_object(object_name)
    record_id = holder(call.org.store.tables[obj.name].holder, external_id(obj, field_name), value)
    if record_id is None:
        raise not_found()
    return delete(call, object_name, record_id)


def external_id(obj: SObject, name: str) -> Field:
    field = obj.by_lower.get(name.lower())
    if field is None or not (field.unique or field.name == "Id"):
        raise Refused(
            "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + name, status=404
        )
    return field


def holder(find: Any, field: Field, value: str) -> str | None:
    """The live record that has this external id."""
    if field.name == "Id":
        return extend(value)
    found = find(field.name, parse(field, value))
    return found if isinstance(found, str) else None


def upsert(tx: Transaction, obj: SObject, field: Field, value: str, body: Mapping[str, Any]) -> tuple[str, bool]:
    """The record's id and whether it is new."""
    record_id = holder(tx.store.tables[obj.name].holder, field, value)
    if record_id is not None:
        tx.update(obj, record_id, read_fields(obj, body, creating=False))
        return record_id, False
    values = read_fields(obj, body, creating=True)
    values[field.name] = parse(field, value)
    return tx.create(obj, values), True
