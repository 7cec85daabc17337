"""One commit's changes as change events: header, bitmaps and body in Avro.

Update bodies carry only changed fields; a null there means "changed to null" only with its bit in nulledFields.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sandbox.salesforce import avro, bitmap
from sandbox.salesforce.commit import Change, Commit
from sandbox.salesforce.event_schema import EventSchema, change_event
from sandbox.salesforce.oddities.diffs import diff
from sandbox.salesforce.schema import Record, SObject, Value
from sandbox.salesforce.shaping import Shape


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event ready for its topic."""

    topic: str
    schema_id: str
    payload: bytes


@cache
def _schema_of(obj: SObject) -> tuple[EventSchema, Callable[[Mapping[str, Any]], bytes]]:
    """Made once for each version of an object: many orgs of one process may share it."""
    schema = change_event(obj)
    return schema, avro.writer(schema.json)


class ChangeEventWriter:
    """Writes the change events of one object under one version of its schema."""

    def __init__(self, obj: SObject) -> None:
        self.obj = obj
        self.schema, self._encode = _schema_of(obj)

    def write(self, commit: Commit, shape: Shape, *, diffs: bool = False) -> Outgoing:
        header: dict[str, Any] = {
            "entityName": self.obj.name,
            "recordIds": list(shape.record_ids),
            "changeType": shape.change_type,
            "changeOrigin": commit.origin,
            # A gap is found out below the application, which knows no transaction of its own.
            "transactionKey": f"{commit.number:036d}" if shape.change_type.startswith("GAP_") else commit.key,
            "sequenceNumber": shape.sequence,
            "commitTimestamp": commit.at_ms,
            "commitNumber": commit.number,
            "commitUser": commit.user_id,
            "nulledFields": [],
            "diffFields": [],
            "changedFields": [],
        }
        body = {} if shape.change is None else self._change(header, shape, shape.change, diffs=diffs)
        return Outgoing(self.obj.topic, self.schema.id, self._encode({"ChangeEventHeader": header} | body))

    def _change(self, header: dict[str, Any], shape: Shape, change: Change, *, diffs: bool) -> dict[str, Any]:
        """The body, and what the header says of it."""
        if change.kind == "DELETE" or shape.empty:
            return {}
        if change.kind != "UPDATE":
            return self._body(change.after, self.schema.places)
        changed = [name for name in change.changed if name in self.schema.places]
        if shape.lone:
            changed.remove("LastModifiedDate")
        texts = self._diffs(change, changed) if diffs else {}
        header["changedFields"] = self._bits(changed)
        header["nulledFields"] = self._bits(name for name in changed if change.after.get(name) is None)
        header["diffFields"] = self._bits(texts)
        return self._body({**change.after, **texts}, changed)

    def _diffs(self, change: Change, changed: Iterable[str]) -> dict[str, str]:
        """Long texts that are sent as their difference."""
        found: dict[str, str] = {}
        for name in changed:
            is_text = self.obj.by_name[name].type == "textarea"
            if is_text and (text := diff((change.before or {}).get(name), change.after.get(name))) is not None:
                found[name] = text
        return found

    def _bits(self, names: Iterable[str]) -> list[str]:
        return bitmap.encode_paths(self.schema.places[name] for name in names)

    def _body(self, record: Record, names: Iterable[str]) -> dict[str, Any]:
        body: dict[str, Any] = {}
        for name in names:
            value = record.get(name)
            if value is None:
                continue
            field = self.obj.by_name[name]
            if field.part:
                body.setdefault(field.event, {})[field.part] = value
            else:
                body[name] = _date_ms(value) if field.type == "date" else value
        return body


def _date_ms(value: Value) -> int:
    """A date travels as its midnight in UTC."""
    return int(datetime.fromisoformat(str(value)).replace(tzinfo=UTC).timestamp() * 1000)
