"""One all-or-nothing unit of work on the store, with savepoints.

Writes go to the store at once and can be undone, so every later step of the same transaction sees them.
Nothing of it is an event or in the journal until the org commits it. One that stays open for a while locks the records
it has written and keeps its writes from all readers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sandbox.salesforce import ids, rules
from sandbox.salesforce.commit import Caller, Change, ChangeKind, Notice
from sandbox.salesforce.errors import Refused
from sandbox.salesforce.schema import Record, SObject, Value
from sandbox.salesforce.store import Key, Reads, Store


@dataclass(slots=True)
class Counters:
    """Numbers the org gives out; they only grow and survive a restart."""

    ids: dict[str, int]
    order_number: int = 0
    line_number: int = 0
    commit_number: int = 0
    number_offset: int = 0  # of commit numbers against the clock: another database instance counts from elsewhere

    def next_commit(self, now_ms: int) -> int:
        """Grows with every commit, as long as the org stays on one instance."""
        self.commit_number = max(self.commit_number + 1, now_ms * 1_000_000 + self.number_offset)
        return self.commit_number

    def jump(self, by: int) -> None:
        """As after a switch to another instance: the next commit number lies elsewhere, also below the last."""
        by = max(by, -self.commit_number)
        self.number_offset += by
        self.commit_number += by

    def next_id(self, prefix: str) -> str:
        self.ids[prefix] = self.ids.get(prefix, 0) + 1
        return ids.make(prefix, self.ids[prefix])


class Transaction:
    """Create, update, delete and undelete records.  Every method raises Refused and then has changed nothing."""

    def __init__(
        self,
        store: Store,
        counters: Counters,
        caller: Caller,
        stamp: Callable[[], int],
        locks: "dict[Key, Transaction] | None" = None,
        *,
        long: bool = False,
    ) -> None:
        self.store = store
        self.counters = counters
        self.caller = caller
        self.stamp = stamp
        """What a write is stamped with: the time of the operation, not of the commit."""
        self._locks = {} if locks is None else locks
        self._long = long
        self._undo: list[tuple[str, str, Record | None]] = []
        # With each, how many writes came before it: a rollback to an earlier savepoint drops it.
        self._first: dict[tuple[str, str], tuple[int, Record | None]] = {}
        self._notices: list[tuple[int, Notice]] = []

    def create(self, obj: SObject, values: Mapping[str, Value]) -> str:
        """The new record's id."""
        obj = self._current(obj)
        mark = self.savepoint()
        try:
            return self._create(obj, values)
        except Refused:
            self.rollback(mark)
            raise

    def _create(self, obj: SObject, values: Mapping[str, Value]) -> str:
        record: Record = {f.name: f.default for f in obj.fields if f.default is not None}
        record.update(values)
        rules.before_create(self, obj, record)
        _require(obj, record)
        record_id = self.counters.next_id(obj.prefix)
        record.update(Id=record_id, CreatedDate=self.stamp(), CreatedById=self.caller.user_id)
        self._write(obj, record_id, record)
        rules.after_write(self, obj, None, record)
        return record_id

    def update(self, obj: SObject, record_id: str, values: Mapping[str, Value]) -> None:
        """Set these fields; None empties one."""
        obj = self._current(obj)
        old = self.existing(obj, record_id)
        mark = self.savepoint()
        try:
            record = {**old, **values}
            rules.before_update(self, obj, old, record, values)
            _require(obj, record)
            self._write(obj, record_id, record)
            rules.after_write(self, obj, old, record)
        except Refused:
            self.rollback(mark)
            raise

    def delete(self, obj: SObject, record_id: str) -> None:
        """Move a record to the recycle bin, with the records that cannot live without it."""
        old = self.existing(obj, record_id)
        mark = self.savepoint()
        try:
            rules.before_delete(self, obj, old)
            self._write(obj, record_id, {**old, "IsDeleted": True})
            rules.after_delete(self, obj, old)
        except Refused:
            self.rollback(mark)
            raise

    def undelete(self, obj: SObject, record_id: str) -> None:
        """Take a record back out of the recycle bin."""
        record = self.store.get(obj.name, record_id)
        if record is None or not record["IsDeleted"] or not obj.undeletable:
            raise Refused("UNDELETE_FAILED", "Entity is not in the recycle bin")
        mark = self.savepoint()
        try:
            self._write(obj, record_id, {**record, "IsDeleted": False})
        except Refused:
            self.rollback(mark)
            raise

    def _current(self, obj: SObject) -> SObject:
        """The object as it is by now: fields may have been added."""
        return self.store.tables[obj.name].obj

    def existing(self, obj: SObject, record_id: str, reads: Reads | None = None) -> Record:
        """A live record, with `reads` as readers see it unless this transaction has written it.

        Raises Refused for a missing or deleted one.
        """
        own = reads is None or (obj.name, record_id) in self._first
        record = self.store.get(obj.name, record_id) if own or reads is None else reads.get(obj.name, record_id)
        if record is None:
            raise Refused(
                "NOT_FOUND", "Provided external ID field does not exist or is not accessible: " + record_id, status=404
            )
        if record["IsDeleted"]:
            raise Refused("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return record

    def set_derived(self, obj: SObject, record_id: str, values: Mapping[str, Value]) -> None:
        """Write what the org itself computes (roll-ups, mirrored prices), past the rules for callers."""
        old = self.existing(obj, record_id)
        if any(old.get(name) != value for name, value in values.items()):
            self._write(obj, record_id, {**old, **values})

    def _write(self, obj: SObject, record_id: str, record: Record) -> None:
        before = self.store.get(obj.name, record_id)
        self._lock((obj.name, record_id))
        self._check_unique(obj, record_id, record)
        record["LastModifiedDate"] = record["SystemModstamp"] = self.stamp()
        record["LastModifiedById"] = self.caller.user_id
        kept: Record = {name: value for name, value in record.items() if value is not None}
        self._first.setdefault((obj.name, record_id), (len(self._undo), before))
        self._undo.append((obj.name, record_id, before))
        self.store.put(obj.name, record_id, kept)

    def _lock(self, key: Key) -> None:
        """Rows are locked by their first write until the transaction ends; nobody waits here, real callers may."""
        self.check_lock(*key)
        if self._long and key not in self._locks:
            self._locks[key] = self
            self.store.hide(key, self.store.get(*key))

    def check_lock(self, object_name: str, record_id: str) -> None:
        """Raises Refused for a record that another open transaction has written."""
        if self._locks and self._locks.get((object_name, record_id), self) is not self:
            raise locked(record_id)

    def unlock(self) -> list[Key]:
        """Gives up the locks, at the end."""
        mine = [key for key, holder in self._locks.items() if holder is self]
        for key in mine:
            del self._locks[key]
        return mine

    def _check_unique(self, obj: SObject, record_id: str, record: Record) -> None:
        if record["IsDeleted"]:
            return
        for name in obj.unique_fields:
            holder = self.store.tables[obj.name].holder(name, record.get(name))
            if holder is not None and holder != record_id:
                raise duplicate(name, holder)

    def notify(self, notice: Notice) -> None:
        """Publish a platform event once this transaction commits."""
        self._notices.append((len(self._undo), notice))

    def savepoint(self) -> int:
        return len(self._undo)

    def rollback(self, mark: int = 0) -> None:
        """Undo everything since the savepoint, newest first."""
        while len(self._undo) > mark:
            object_name, record_id, before = self._undo.pop()
            self.store.put(object_name, record_id, before)
        self._first = {key: first for key, first in self._first.items() if first[0] < mark}
        self._notices = [entry for entry in self._notices if entry[0] <= mark]

    def notices(self) -> list[Notice]:
        return [notice for _, notice in self._notices]

    def written(self) -> list[tuple[str, Record]]:
        """Every record it has written, as it is now; also one made and deleted here, of which no event tells."""
        found = ((name, self.store.get(name, record_id)) for name, record_id in self._first)
        return [(name, record) for name, record in found if record is not None]

    def changes(self) -> list[Change]:
        """The net change of each record, in the order of first touch; a record made and deleted here is none."""
        found = (self._change(name, record_id, before) for (name, record_id), (_, before) in self._first.items())
        return [change for change in found if change is not None]

    def _change(self, object_name: str, record_id: str, before: Record | None) -> Change | None:
        after = self.store.get(object_name, record_id)
        if after is None or (kind := _net_kind(before, after)) is None:
            return None
        obj = self.store.tables[object_name].obj
        changed = _changed(obj, before or {}, after) if kind == "UPDATE" else ()
        return Change(object_name, record_id, kind, before, after, changed)


def _net_kind(before: Record | None, after: Record) -> ChangeKind | None:
    was, is_ = before is not None and not before["IsDeleted"], not after["IsDeleted"]
    if was:
        return "UPDATE" if is_ else "DELETE"
    if not is_:
        return None
    return "CREATE" if before is None else "UNDELETE"


def _changed(obj: SObject, before: Record, after: Record) -> tuple[str, ...]:
    """LastModifiedDate is in every update, also when its second has not moved on."""
    return tuple(f.name for f in obj.fields if f.name == "LastModifiedDate" or before.get(f.name) != after.get(f.name))


def _require(obj: SObject, record: Record) -> None:
    missing = [f.name for f in obj.fields if f.required and record.get(f.name) is None]
    if missing:
        raise Refused("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)


def duplicate(name: str, holder: str) -> Refused:
    """The refusal of a second record with the same unique value; it names the first one's 15-character id."""
    return Refused(
        "DUPLICATE_VALUE", f"duplicate value found: {name} duplicates value on record with id: {holder[:15]}", []
    )


def locked(record_id: str) -> Refused:
    """The refusal of a write to a record that another open transaction has written."""
    return Refused("UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {record_id}")
