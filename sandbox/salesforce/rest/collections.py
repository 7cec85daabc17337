"""Up to 200 records in one call, all or none, or each for itself."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.rest import records
from sandbox.salesforce.rest.call import Call, Reply
from sandbox.salesforce.transaction import Transaction

MAX_RECORDS = 200
_ROLLED_BACK = Refused(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


class _AllOrNone(Exception):
    pass


def create_many(call: Call) -> Reply:
    def one(tx: Transaction, item: dict[str, Any]) -> dict[str, Any]:
        obj = records.find_object(_type_of(item))
        record_id = tx.create(obj, records.read_fields(obj, item, creating=True))
        return {"id": record_id, "success": True, "errors": []}

    return _each(call, _records_of(call), one)


def update_many(call: Call) -> Reply:
    def one(tx: Transaction, item: dict[str, Any]) -> dict[str, Any]:
        obj = records.find_object(_type_of(item))
        record_id = records.find_id(str(_pop_id(item)))
        tx.update(obj, record_id, records.read_fields(obj, item, creating=False))
        return {"id": record_id, "success": True, "errors": []}

    return _each(call, [dict(item) for item in _records_of(call)], one)


def upsert_many(call: Call, object_name: str, field_name: str) -> Reply:
    obj = records.find_object(object_name)
    field = records.external_id(obj, field_name)

    def one(tx: Transaction, item: dict[str, Any]) -> dict[str, Any]:
        body = {k: v for k, v in item.items() if k.lower() != field.name.lower()}
        value = next((v for k, v in item.items() if k.lower() == field.name.lower()), None)
        if value is None:
            raise Refused("MISSING_ARGUMENT", f"{field.name} not specified", [field.name])
        record_id, created = records.upsert(tx, obj, field, str(value), body)
        return {"id": record_id, "success": True, "errors": [], "created": created}

    return _each(call, _records_of(call), one)


def delete_many(call: Call) -> Reply:
    ids = [text for text in call.query.get("ids", "").split(",") if text]
    _check_count(ids)
    all_or_none = call.query.get("allOrNone", "false").lower() == "true"

    def one(tx: Transaction, text: str) -> dict[str, Any]:
        record_id = records.find_id(text)
        for table in tx.store.tables.values():
            if record_id in table.records:
                tx.delete(table.obj, record_id)
                return {"id": record_id, "success": True, "errors": []}
        raise Refused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")

    return _results(call, ids, one, all_or_none=all_or_none)


def retrieve_many(call: Call, object_name: str) -> Reply:
    obj = records.find_object(object_name)
    if call.method == "GET":
        ids, names = call.query.get("ids", "").split(","), call.query.get("fields", "Id")
    else:
        body = call.object_body()
        ids, names = _texts(body, "ids"), ",".join(_texts(body, "fields"))
    if len(ids) > 2000:
        raise Refused("LIMIT_EXCEEDED", "The number of ids exceeds the limit of 2000")
    found = [call.org.store.live(obj.name, records.find_id(text)) for text in ids]
    return Reply(200, [None if record is None else records.show(call, obj, record, names) for record in found])


def _texts(body: dict[str, Any], name: str) -> list[str]:
    found = body.get(name)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise Refused("JSON_PARSER_ERROR", f"{name} must be a list of texts")
    return found


def _each(
    call: Call, items: Sequence[dict[str, Any]], one: Callable[[Transaction, dict[str, Any]], dict[str, Any]]
) -> Reply:
    _check_count(items)
    return _results(call, items, one, all_or_none=call.object_body().get("allOrNone") is True)


def _results(
    call: Call, items: Sequence[Any], one: Callable[[Transaction, Any], dict[str, Any]], *, all_or_none: bool
) -> Reply:
    results: list[dict[str, Any]] = []
    try:
        with call.transaction() as tx:
            results.extend(_attempt(tx, item, one) for item in items)
            if all_or_none and not all(result["success"] for result in results):
                raise _AllOrNone
    except _AllOrNone:
        results = [r if not r["success"] else _failed(_ROLLED_BACK) for r in results]
    return Reply(200, results)


def _attempt(tx: Transaction, item: Any, one: Callable[[Transaction, Any], dict[str, Any]]) -> dict[str, Any]:
    try:
        return one(tx, item)
    except Refused as error:
        return _failed(error)


def _failed(error: Refused) -> dict[str, Any]:
    return {"success": False, "errors": [error.as_result()]}


def _records_of(call: Call) -> list[dict[str, Any]]:
    items = call.object_body().get("records")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Refused("JSON_PARSER_ERROR", "records must be a list of objects")
    return items


def _check_count(items: Iterable[object]) -> None:
    if len(list(items)) > MAX_RECORDS:
        raise Refused("LIMIT_EXCEEDED", f"The number of records exceeds the limit of {MAX_RECORDS}")


def _type_of(item: dict[str, Any]) -> str:
    attributes = item.get("attributes")
    name = attributes.get("type") if isinstance(attributes, dict) else None
    if not isinstance(name, str):
        raise Refused("INVALID_INPUT", "sObject type not specified in record attributes")
    return name


def _pop_id(item: dict[str, Any]) -> object:
    for key in ("id", "Id"):
        if key in item:
            return item.pop(key)
    raise Refused("MISSING_ARGUMENT", "Id not specified in an update call", ["Id"])
