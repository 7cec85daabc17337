"""Operations on records as a script sends them: {"op", "object", "id"?, "fields"?}."""

from collections.abc import Sequence
from typing import Any

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.org import Org
from sandbox.salesforce.rest.records import find_id, find_object, read_fields
from sandbox.salesforce.transaction import Transaction


def operations_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Raises Refused."""
    operations = body.get("operations")
    if not isinstance(operations, list) or not all(isinstance(o, dict) for o in operations):
        raise Refused("JSON_PARSER_ERROR", "operations must be a list of objects")
    return operations


def operate(tx: Transaction, operations: Sequence[dict[str, Any]]) -> list[str]:
    """The id of each operation's record, in order.  Raises Refused."""
    return [_operate(tx, operation) for operation in operations]


def _operate(tx: Transaction, operation: dict[str, Any]) -> str:
    obj = find_object(str(operation.get("object", "")))
    fields: dict[str, Any] = operation.get("fields") or {}
    if operation.get("op") == "create":
        return tx.create(obj, read_fields(obj, fields, creating=True))
    record_id = find_id(str(operation.get("id")))
    match operation.get("op"):
        case "update":
            tx.update(obj, record_id, read_fields(obj, fields, creating=False))
        case "delete":
            tx.delete(obj, record_id)
        case "undelete":
            tx.undelete(obj, record_id)
        case other:
            raise Refused("INVALID_INPUT", f"unknown operation {other}")
    return record_id


def live_ids(org: Org, object_name: str) -> list[str]:
    """Every record of an object that is not deleted."""
    table = org.database.tables[find_object(object_name).name]
    return [record_id for record_id, record in table.records.items() if not record["IsDeleted"]]
