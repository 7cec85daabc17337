"""Field paths of a query, through relationships, to a field and a way to read it."""

from collections.abc import Callable
from typing import TypeAlias

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.schema import Field, Record, SObject, Value
from sandbox.salesforce.soql.tree import Path
from sandbox.salesforce.store import Reads

Get: TypeAlias = Callable[[Record], Value]


class Paths:
    """Resolves the paths of one query over one object."""

    def __init__(self, store: Reads, obj: SObject) -> None:
        self.store = store
        self.obj = obj

    def resolve(self, path: Path) -> tuple[Field, Get]:
        """The field a path ends at and its reader.  Raises Refused (INVALID_FIELD)."""
        if len(path) > 1 and path[0].lower() == self.obj.name.lower():
            path = path[1:]
        if len(path) == 1:
            return self._own(path[0])
        reference = self.reference(path[0])
        far = Paths(self.store, OBJECTS[reference.refers_to])
        field, get = far.resolve(path[1:])
        records, name = self.store.tables[reference.refers_to].records, reference.name

        def follow(record: Record) -> Value:
            other = records.get(str(record.get(name)))
            return None if other is None else get(other)

        return field, follow

    def reference(self, relationship: str) -> Field:
        field = self.obj.by_relationship.get(relationship.lower())
        if field is None:
            raise Refused("INVALID_FIELD", f"Didn't understand relationship '{relationship}' in field path.")
        return field

    def _own(self, name: str) -> tuple[Field, Get]:
        field = self.obj.by_lower.get(name.lower())
        if field is None:
            raise Refused("INVALID_FIELD", f"No such column '{name}' on entity '{self.obj.name}'.")
        if field.derived:
            return field, lambda record: self.store.value(self.obj, record, field.name)
        key = field.name
        return field, lambda record: record.get(key)
