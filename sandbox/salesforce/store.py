"""The org's records in memory, with the indexes that keep unique fields unique and look-ups quick.

A stored record is never changed in place: a write puts a new dict, so whoever holds the old one holds a snapshot.
"""

from collections.abc import Iterator

from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.schema import Record, SObject, Value


class Table:
    """The records of one object by id, deleted ones included."""

    __slots__ = ("_indexed", "_unique", "obj", "records")

    def __init__(self, obj: SObject) -> None:
        self.obj = obj
        self.records: dict[str, Record] = {}
        self._unique: dict[str, dict[Value, str]] = {name: {} for name in obj.unique_fields}
        self._indexed: dict[str, dict[Value, dict[str, None]]] = {name: {} for name in obj.indexed}

    def put(self, record_id: str, record: Record | None) -> None:
        """Store a record, or with None take it away for good."""
        old = self.records.get(record_id)
        if old is not None:
            self._forget(record_id, old)
        if record is None:
            self.records.pop(record_id, None)
            return
        self.records[record_id] = record
        for name, holders in self._unique.items():
            if (value := record.get(name)) is not None and not record["IsDeleted"]:
                holders[value] = record_id
        for name, groups in self._indexed.items():
            if (value := record.get(name)) is not None:
                groups.setdefault(value, {})[record_id] = None

    def _forget(self, record_id: str, old: Record) -> None:
        for name, holders in self._unique.items():
            if holders.get(old.get(name)) == record_id:
                del holders[old[name]]
        for name, groups in self._indexed.items():
            if (group := groups.get(old.get(name))) is not None:
                group.pop(record_id, None)

    def holder(self, name: str, value: Value) -> str | None:
        """The id of the live record that holds this value of a unique field."""
        return self._unique[name].get(value)

    def where(self, name: str, value: Value) -> Iterator[Record]:
        """Records, deleted ones included, with this value of an indexed field."""
        return (self.records[i] for i in tuple(self._indexed[name].get(value, ())))

    def can_look_up(self, name: str) -> bool:
        return name in self._indexed


class Store:
    """All tables of the org."""

    __slots__ = ("tables",)

    def __init__(self) -> None:
        self.tables = {name: Table(obj) for name, obj in OBJECTS.items()}

    def get(self, object_name: str, record_id: str) -> Record | None:
        """A record, deleted or not."""
        return self.tables[object_name].records.get(record_id)

    def live(self, object_name: str, record_id: Value) -> Record | None:
        """A record that is not deleted."""
        record = self.tables[object_name].records.get(str(record_id))
        return None if record is None or record["IsDeleted"] else record

    def put(self, object_name: str, record_id: str, record: Record | None) -> None:
        self.tables[object_name].put(record_id, record)

    def value(self, obj: SObject, record: Record, name: str) -> Value:
        """A field's value as the API shows it: derived fields are read from the other record."""
        field = obj.by_name[name]
        if not field.derived:
            return record.get(name)
        reference, _, far = field.derived.partition(".")
        other = self.get(reference, str(record.get(f"{reference}Id")))
        return None if other is None else other.get(far)

    def full(self, obj: SObject, record: Record) -> Record:
        """Every field of a record by its REST name, nulls included."""
        return {f.name: self.value(obj, record, f.name) for f in obj.fields}
