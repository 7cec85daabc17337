"""The org's records in memory, and two ways to look at them: as they are written, and as readers see them.

A stored record is never changed in place: a write puts a new one, so whoever holds the old one holds a snapshot.
"""

from collections.abc import Callable, Iterator, Mapping

from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.schema import Record, SObject, Value

Key = tuple[str, str]
"""Object and record id."""


class Table:
    """The records of one object by id, deleted ones included, with the indexes that keep look-ups quick."""

    __slots__ = ("_indexed", "_unique", "obj", "records")

    def __init__(self, obj: SObject) -> None:
        self.obj = obj
        self.records: dict[str, Record] = {}
        self._unique: dict[str, dict[Value, str]] = {name: {} for name in obj.unique_fields}
        # A value that one record has leads to its id; only one that several share leads to a dict of ids.
        self._indexed: dict[str, dict[Value, str | dict[str, None]]] = {name: {} for name in obj.indexed}

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
                _join_group(groups, value, record_id)

    def _forget(self, record_id: str, old: Record) -> None:
        for name, holders in self._unique.items():
            if holders.get(old.get(name)) == record_id:
                del holders[old[name]]
        for name, groups in self._indexed.items():
            value = old.get(name)
            match groups.get(value):
                case dict() as group:
                    group.pop(record_id, None)
                case str() as only if only == record_id:
                    del groups[value]

    def holder(self, name: str, value: Value) -> str | None:
        """The id of the live record that holds this value of a unique field."""
        return self._unique[name].get(value)

    def ids(self, name: str, value: Value) -> tuple[str, ...]:
        """Ids of the records with this value of an indexed field."""
        found = self._indexed[name].get(value, ())
        return (found,) if isinstance(found, str) else tuple(found)

    def where(self, name: str, value: Value) -> Iterator[Record]:
        """Records, deleted ones included, with this value of an indexed field."""
        return (self.records[i] for i in self.ids(name, value))

    def can_look_up(self, name: str) -> bool:
        return name in self._indexed


def _join_group(groups: dict[Value, str | dict[str, None]], value: Value, record_id: str) -> None:
    match groups.get(value):
        case None:
            groups[value] = record_id
        case dict() as group:
            group[record_id] = None
        case str() as only:
            groups[value] = {only: None, record_id: None}


class Hidden:
    """A record whose newest writes readers do not see yet.

    shown: what they see, None for no such record
    pending: what they will see, and from when on
    """

    __slots__ = ("open", "pending", "shown")

    def __init__(self, shown: Record | None) -> None:
        self.shown = shown
        self.pending: list[tuple[int, Record | None]] = []
        self.open = False  # written by a transaction that has not committed

    def follow(self, at_ms: int, after: Record | None) -> None:
        """Nobody sees a later commit of a record before an earlier one."""
        self.pending.append((max([at_ms, *(due for due, _ in self.pending[-1:])]), after))

    def settle(self, now_ms: int) -> bool:
        """Whether all has been shown by now."""
        while self.pending and self.pending[0][0] <= now_ms:
            self.shown = self.pending.pop(0)[1]
        return not self.pending and not self.open


class Store:
    """All tables of the org as they are written, uncommitted writes of open transactions included."""

    __slots__ = ("hidden", "tables")

    def __init__(self, objects: Mapping[str, SObject] = OBJECTS) -> None:
        self.tables = {name: Table(obj) for name, obj in objects.items()}
        self.hidden: dict[str, dict[str, Hidden]] = {name: {} for name in objects}

    def get(self, object_name: str, record_id: str) -> Record | None:
        """A record, deleted or not."""
        return self.tables[object_name].records.get(record_id)

    def live(self, object_name: str, record_id: Value) -> Record | None:
        """A record that is not deleted."""
        record = self.tables[object_name].records.get(str(record_id))
        return None if record is None or record["IsDeleted"] else record

    def put(self, object_name: str, record_id: str, record: Record | None) -> None:
        self.tables[object_name].put(record_id, record)

    def hide(self, key: Key, shown: Record | None) -> None:
        """From here on readers see the record as `shown`, until it is shown again."""
        held = self.hidden[key[0]].setdefault(key[1], Hidden(shown))
        held.open = True

    def show(self, key: Key, at_ms: int, after: Record | None) -> None:
        """A hidden record's writes are committed; readers see `after` from then on."""
        held = self.hidden[key[0]][key[1]]
        held.open = False
        held.follow(at_ms, after)

    def overwrite(self, key: Key, record: Record | None, now_ms: int) -> None:
        """Store a record past all transactions; readers see it as soon as they see what came before it."""
        self.put(*key, record)
        if (held := self.hidden[key[0]].get(key[1])) is not None:
            held.follow(now_ms, record)

    def unhide(self, key: Key) -> None:
        """A hidden record's writes were undone."""
        held = self.hidden[key[0]][key[1]]
        held.open = False
        if not held.pending:
            del self.hidden[key[0]][key[1]]

    def settle(self, now_ms: int) -> None:
        for hidden in self.hidden.values():
            for record_id in [i for i, held in hidden.items() if held.settle(now_ms)]:
                del hidden[record_id]


class Shown(Mapping[str, Record]):
    """A table's records with some of them as they were."""

    def __init__(self, records: Mapping[str, Record], hidden: Mapping[str, Hidden]) -> None:
        self._records = records
        self._hidden = hidden

    def __getitem__(self, record_id: str) -> Record:
        if (held := self._hidden.get(record_id)) is None:
            return self._records[record_id]
        if held.shown is None:
            raise KeyError(record_id)
        return held.shown

    def __iter__(self) -> Iterator[str]:
        for record_id in self._records:
            if (held := self._hidden.get(record_id)) is None or held.shown is not None:
                yield record_id
        yield from (i for i, held in self._hidden.items() if i not in self._records and held.shown is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class ShownTable:
    """One object's records as readers see them."""

    __slots__ = ("_settle", "_store", "_table")

    def __init__(self, store: Store, name: str, settle: Callable[[], None]) -> None:
        self._store = store
        self._table = store.tables[name]
        self._settle = settle

    @property
    def obj(self) -> SObject:
        return self._table.obj

    @property
    def records(self) -> Mapping[str, Record]:
        hidden = self._store.hidden[self._table.obj.name]
        if hidden:
            self._settle()
        return Shown(self._table.records, hidden) if hidden else self._table.records

    def where(self, name: str, value: Value) -> Iterator[Record]:
        """Records, deleted ones included, with this value of an indexed field."""
        records = self.records
        if isinstance(records, dict):
            return self._table.where(name, value)
        ids = dict.fromkeys((*self._table.ids(name, value), *self._store.hidden[self._table.obj.name]))
        found = (records.get(record_id) for record_id in ids)
        return (record for record in found if record is not None and record.get(name) == value)

    def holder(self, name: str, value: Value) -> str | None:
        return self._table.holder(name, value)

    def can_look_up(self, name: str) -> bool:
        return self._table.can_look_up(name)


class Reads:
    """All tables as REST, SOQL and Bulk see them: committed, and visible by the time that `now_ms` tells."""

    __slots__ = ("_now_ms", "_store", "tables")

    def __init__(self, store: Store, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self.tables = {name: ShownTable(store, name, self._settle) for name in store.tables}

    def _settle(self) -> None:
        self._store.settle(self._now_ms())

    def get(self, object_name: str, record_id: str) -> Record | None:
        """A record, deleted or not."""
        return self.tables[object_name].records.get(record_id)

    def live(self, object_name: str, record_id: Value) -> Record | None:
        """A record that is not deleted."""
        record = self.get(object_name, str(record_id))
        return None if record is None or record["IsDeleted"] else record

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
