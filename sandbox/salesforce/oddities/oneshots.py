"""What may happen to an org once, on command.  Each takes a JSON body and answers one; all raise Refused."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import msgspec

from sandbox.salesforce.commit import Caller
from sandbox.salesforce.errors import Refused, not_found
from sandbox.salesforce.eventbus import Topic
from sandbox.salesforce.oddities import operations
from sandbox.salesforce.oddities.long import LongTransactions
from sandbox.salesforce.oddities.settings import Oddities
from sandbox.salesforce.org import Org
from sandbox.salesforce.rest.records import find_id, find_object
from sandbox.salesforce.schema import Field, Record, SObject, Value
from sandbox.salesforce.shaping import Shape
from sandbox.salesforce.values import parse

Body: TypeAlias = dict[str, Any]
OneShot: TypeAlias = Callable[[Org, Body], Body]
_AFTER_MIGRATION = 10**11  # commit numbers restart here
_FAR = 1_000_003  # so far apart are the numbers before and after a migration


def behaving(org: Org, changes: Mapping[str, Any]) -> Oddities:
    """The org's lasting behaviour with some of it changed.  Raises Refused."""
    try:
        return msgspec.convert({**msgspec.to_builtins(org.oddities), **changes}, Oddities)
    except (msgspec.ValidationError, ValueError) as error:
        raise Refused("INVALID_INPUT", str(error)) from None


def transaction(org: Org, body: Body) -> Body:
    """One commit under other behaviour: {"operations": [...], "as": {"gap_share": 1}}."""
    with org.for_now(behaving(org, body.get("as") or {})), org.transaction(caller(org)) as tx:
        ids = operations.operate(tx, operations.operations_of(body))
    return {"ids": ids}


def caller(org: Org) -> Caller:
    return Caller(org.user_id, "com/salesforce/api/soap/67.0;client=SfdcInternalAPI/")


def touch(org: Org, body: Body) -> Body:
    """Stamps move, nothing else, and no event tells: {"object", "ids"?}."""
    return _rewrite(org, body, {}, stamped=True)


def derive(org: Org, body: Body) -> Body:
    """Values change as derived ones do, without stamp and event: {"object", "ids"?, "fields"}."""
    obj = find_object(str(body.get("object")))
    return _rewrite(org, body, _values(obj, body), stamped=False)


def convert(org: Org, body: Body) -> Body:
    """A field's type is converted and its values are lost; one event with a wildcard tells: {"object", "field"}."""
    obj, name = find_object(str(body.get("object"))), str(body.get("field"))
    if name not in obj.by_name:
        raise Refused("INVALID_FIELD", f"No such column '{name}' on sobject of type {obj.name}")
    for record_id in org.database.tables[obj.name].records:
        org.check_lock(obj.name, record_id)
    shape = Shape(object=obj.name, record_ids=(f"{obj.prefix}*",), change_type="GAP_UPDATE", sequence=1)
    commit = org.numbered(caller(org), (), (), org.database.tables[obj.name].records)
    events = org.stored(org.publisher.write(commit, shape)) if obj.topic else []
    records = [
        {key: value for key, value in record.items() if key != name}
        for record in org.database.tables[obj.name].records.values()
        if name in record
    ]
    org.write(events, [(obj.name, record) for record in records])
    return {"records": len(records)}


def _rewrite(org: Org, body: Body, values: Mapping[str, Value], *, stamped: bool) -> Body:
    obj = find_object(str(body.get("object")))
    ids = [find_id(str(text)) for text in body.get("ids") or operations.live_ids(org, obj.name)]
    stamp: Record = {"SystemModstamp": org.stamp()} if stamped else {}
    rows: list[tuple[str, Record]] = []
    for record_id in ids:
        if (old := org.database.get(obj.name, record_id)) is None:
            raise not_found()
        org.check_lock(obj.name, record_id)
        new = {**old, **values, **stamp}
        rows.append((obj.name, {name: value for name, value in new.items() if value is not None}))
    org.write([], rows)
    return {"records": len(rows)}


def _values(obj: SObject, body: Body) -> dict[str, Value]:
    fields = body.get("fields")
    if not isinstance(fields, dict) or any(name not in obj.by_name for name in fields):
        raise Refused("INVALID_FIELD", "fields must name fields of the object")
    return {name: parse(obj.by_name[name], raw) for name, raw in fields.items()}


def hard_delete(org: Org, body: Body) -> Body:
    """Records are gone, from the recycle bin too, and no event tells: {"object", "ids"}."""
    obj = find_object(str(body.get("object")))
    ids = [find_id(str(text)) for text in body.get("ids") or ()]
    if missing := [i for i in ids if org.database.get(obj.name, i) is None]:
        raise not_found(f"no record {missing[0]}")
    for record_id in ids:
        org.check_lock(obj.name, record_id)
    org.write([], [], [(obj.name, record_id) for record_id in ids])
    return {"records": len(ids)}


def lose(org: Org, body: Body) -> Body:
    """The next events are never stored: {"count"}."""
    org.lose_next += _number(body, "count", 1)
    return {"lose_next": org.lose_next}


def duplicate(org: Org, body: Body) -> Body:
    """The newest events of a topic are stored again, under new positions: {"topic", "count"?}."""
    topic = _topics(org, body)[0]
    old = [event for event in topic.entries if event.payload][-_number(body, "count", 1) :]
    now = org.clock.now_ms()
    org.publish([replace(e, number=topic.next_number(), at_ms=now) for e in old])
    return {"events": len(old)}


def jump(org: Org, body: Body) -> Body:
    """Commit numbers go on elsewhere, as after a switch of the database instance: {"by"}."""
    org.counters.jump(_number(body, "by", -(10**12)))
    return {"commit_number": org.counters.commit_number}


def forget(org: Org, body: Body) -> Body:
    """The log is cut: positions up to now are known no more, what was not fetched is lost: {"topic"?, "keep"?}."""
    keep = _number(body, "keep", 0)
    for topic in _topics(org, body):
        if len(topic.entries) > keep:
            org.cut(topic, topic.entries[-keep - 1].number)
    return {"topics": len(_topics(org, body))}


def migrate(org: Org, _: Body) -> Body:
    """The org moves to another instance: every replay id is void, commit numbers restart."""
    for topic in org.bus.topics.values():
        org.cut(topic, topic.last, topic.last + _FAR)
    now = org.clock.now_ms()
    org.counters.jump(_AFTER_MIGRATION - org.counters.commit_number)
    org.counters.number_offset = _AFTER_MIGRATION - now * 1_000_000
    org.publish([])
    return {"commit_number": org.counters.commit_number}


def add_field(org: Org, body: Body) -> Body:
    """An object gets a field: {"object", "name", "type"?, "length"?}."""
    obj, name = find_object(str(body.get("object"))), str(body.get("name"))
    if not name.endswith("__c") or name in obj.by_name:
        raise Refused("INVALID_INPUT", f"{name} is no new custom field of {obj.name}")
    try:
        field = msgspec.convert({k: v for k, v in body.items() if k != "object"} | {"label": name}, Field)
    except msgspec.ValidationError as error:
        raise Refused("INVALID_INPUT", str(error)) from None
    org.add_field(obj.name, field)
    topic = org.bus.topics.get(obj.topic)
    return {"schema_id": topic.schema_id if topic else ""}


def _topics(org: Org, body: Body) -> list[Topic]:
    name = body.get("topic")
    if name is None:
        return list(org.bus.topics.values())
    if (topic := org.bus.topics.get(str(name))) is None:
        raise not_found(f"no topic {name}")
    return [topic]


def _number(body: Body, name: str, default: int) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused("INVALID_INPUT", f"{name} must be a whole number")
    return value


class OneShots:
    """All of them by the name under which they are called."""

    def __init__(self) -> None:
        long = LongTransactions()
        self.by_name: dict[str, OneShot] = {
            "transaction": transaction,
            "begin": long.begin,
            "operate": long.operate,
            "commit": long.commit,
            "abandon": long.abandon,
            "touch": touch,
            "derive": derive,
            "convert": convert,
            "hard-delete": hard_delete,
            "lose": lose,
            "duplicate": duplicate,
            "jump": jump,
            "forget": forget,
            "migrate": migrate,
            "add-field": add_field,
        }

    def call(self, name: str, org: Org, body: Body) -> Body:
        """Raises Refused."""
        if (what := self.by_name.get(name)) is None:
            raise not_found(f"nothing is known as {name}")
        return what(org, body)
