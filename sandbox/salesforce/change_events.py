"""One commit's changes as change events: header, bitmaps and body in Avro.

Update bodies carry only changed fields; a null there means "changed to null" only with its bit in nulledFields.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.salesforce import avro, bitmap
from sandbox.salesforce.commit import Change, Commit
from sandbox.salesforce.event_schema import EventSchema, change_event
from sandbox.salesforce.schema import Record, SObject, Value


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event ready for its topic."""

    topic: str
    schema_id: str
    payload: bytes


class ChangeEventWriter:
    """Writes the change events of one object under one version of its schema."""

    def __init__(self, obj: SObject) -> None:
        self.obj = obj
        self.schema: EventSchema = change_event(obj)
        self._encode = avro.writer(self.schema.json)

    def write(self, commit: Commit, change: Change, sequence: int) -> Outgoing:
        header: dict[str, Any] = {
            "entityName": self.obj.name,
            "recordIds": [change.record_id],
            "changeType": change.kind,
            "changeOrigin": commit.origin,
            "transactionKey": commit.key,
            "sequenceNumber": sequence,
            "commitTimestamp": commit.at_ms,
            "commitNumber": commit.number,
            "commitUser": commit.user_id,
            "nulledFields": [],
            "diffFields": [],
            "changedFields": [],
        }
        if change.kind == "UPDATE":
            changed = [name for name in change.changed if name in self.schema.places]
            header["changedFields"] = self._bits(changed)
            header["nulledFields"] = self._bits(name for name in changed if change.after.get(name) is None)
            body = self._body(change.after, changed)
        else:
            body = {} if change.kind == "DELETE" else self._body(change.after, self.schema.places)
        return Outgoing(self.obj.topic, self.schema.id, self._encode({"ChangeEventHeader": header} | body))

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
