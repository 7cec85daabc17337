"""What the Tooling API tells of the org's set-up: which entities are selected for change events."""

from typing import Any

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.rest.call import Call, Reply
from sandbox.salesforce.soql.parser import parse
from sandbox.salesforce.soql.tree import Query

_MEMBER = "PlatformEventChannelMember"
_CHANNEL = "ChangeEvents"


def query(call: Call) -> Reply:
    """Every row of the one object that is kept here, with the fields asked for; conditions are not."""
    parsed = parse(call.query.get("q", ""))
    if parsed.source.lower() != _MEMBER.lower():
        raise Refused("INVALID_TYPE", f"sObject type '{parsed.source}' is not supported.")
    rows = [_row(call, parsed, entity) for entity in _selected()]
    whole = {"size": len(rows), "totalSize": len(rows), "done": True, "queryLocator": None}
    return Reply(200, whole | {"entityTypeName": _MEMBER, "records": rows})


def _selected() -> list[str]:
    return [obj.topic.rpartition("/")[2] for obj in OBJECTS.values() if obj.topic]


def _row(call: Call, asked: Query, entity: str) -> dict[str, Any]:
    known = {"DeveloperName": f"{_CHANNEL}_{entity}", "EventChannel": _CHANNEL, "SelectedEntity": entity}
    row: dict[str, Any] = {"attributes": {"type": _MEMBER, "url": f"{call.base}/tooling/sobjects/{_MEMBER}/{entity}"}}
    for item in asked.select:
        name = ".".join(item) if isinstance(item, tuple) else item.function
        if name not in known:
            raise Refused("INVALID_FIELD", f"No such column '{name}' on entity '{_MEMBER}'.")
        row[name] = known[name]
    return row
