"""What a transaction did, as one immutable value: the only thing events, journal and counters learn from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sandbox.salesforce.schema import Record, Value

ChangeKind: TypeAlias = Literal["CREATE", "UPDATE", "DELETE", "UNDELETE"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts, and the changeOrigin the events will name."""

    user_id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Change:
    """The net effect of a transaction on one record: the kind of its first write, the values of its last."""

    object: str
    record_id: str
    kind: ChangeKind
    before: Record | None
    after: Record
    changed: Sequence[str]  # names of fields whose value differs, with LastModifiedDate; only for UPDATE


@dataclass(frozen=True, slots=True)
class Notice:
    """A platform event to be published after the commit; `timed` names a field that gets the commit's time."""

    event: str
    fields: dict[str, Value]
    timed: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction.  `at_ms` is commitTimestamp; `number` grows with every commit of this org."""

    at_ms: int
    number: int
    key: str
    user_id: str
    origin: str
    changes: Sequence[Change]
    notices: Sequence[Notice] = field(default=())
