"""The recent log of one partition in memory, bounded by bytes: every record in [base, pos), by offset and by order."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

from schemas.versions import StatusVersion
from services.notifier.content import Content

OVERHEAD = 800
"""Bytes of an entry besides its data: objects, strings and index, measured with tracemalloc."""

NOTHING_BEFORE = 0
"""The fingerprint below offset 0."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One status as the streams need it.

    data: the JSON of its `order.update`
    fp: fingerprint of its event id
    at_ms: when the log took it
    """

    partition: int
    offset: int
    order_id: str
    version: StatusVersion
    content: Content
    terminal: bool
    account_id: str | None
    fp: int
    data: bytes
    at_ms: int

    @property
    def size(self) -> int:
        return OVERHEAD + len(self.data)


def fingerprint(event_id: str) -> int:
    """16 bits of an event's id."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=2).digest(), "big")


class Ring:
    """Starts empty at `base`; whoever reads the log appends in its order and says how far he has read."""

    def __init__(self, base: int, most_bytes: int) -> None:
        self.base = base
        self.pos = base
        self.bytes = 0
        self._most_bytes = most_bytes
        self._before: int | None = NOTHING_BEFORE if base == 0 else None
        self._entries: list[Entry] = []
        self._head = 0
        self._by_order: dict[str, deque[Entry]] = {}
        self._of_account: dict[str, Counter[str]] = {}

    def __len__(self) -> int:
        return len(self._entries) - self._head

    def append(self, entry: Entry) -> None:
        if entry.offset < self.pos:
            raise ValueError(f"offset {entry.offset} comes after {self.pos} has been reached")
        self._entries.append(entry)
        self._by_order.setdefault(entry.order_id, deque()).append(entry)
        if entry.account_id is not None:
            self._of_account.setdefault(entry.account_id, Counter())[entry.order_id] += 1
        self.bytes += entry.size
        self.pos = entry.offset + 1
        while self.bytes > self._most_bytes:
            self._drop_oldest()

    def advance(self, position: int) -> None:
        """Everything below `position` has been examined, what is no record (transaction markers) included."""
        self.pos = max(self.pos, position)

    def of(self, order_id: str, since: int) -> Iterator[Entry]:
        """The order's entries from an offset on, in log order."""
        return (entry for entry in self._by_order.get(order_id, ()) if entry.offset >= since)

    def since(self, offset: int) -> list[Entry]:
        """All entries from an offset on, in log order."""
        return self._entries[self._index(offset) :]

    def owner(self, order_id: str) -> str | None:
        """The account that the newest of the order's entries names."""
        entries = reversed(self._by_order.get(order_id, ()))
        return next((entry.account_id for entry in entries if entry.account_id is not None), None)

    def orders_of(self, account_id: str) -> list[str]:
        """Orders that an entry here names as the account's."""
        return list(self._of_account.get(account_id, ()))

    def fp_below(self, offset: int) -> int | None:
        """Fingerprint of the last record below an offset in [base, pos]; None where it is not known."""
        if not self.base <= offset <= self.pos:
            return None
        index = self._index(offset)
        return self._entries[index - 1].fp if index > self._head else self._before

    def _index(self, offset: int) -> int:
        if not len(self) or offset > self._entries[-1].offset:
            return len(self._entries)
        return bisect_left(self._entries, offset, lo=self._head, key=lambda entry: entry.offset)

    def _drop_oldest(self) -> None:
        oldest = self._entries[self._head]
        self._head += 1
        self.base, self._before = oldest.offset + 1, oldest.fp
        self.bytes -= oldest.size
        of_order = self._by_order[oldest.order_id]
        of_order.popleft()
        if not of_order:
            del self._by_order[oldest.order_id]
        if oldest.account_id is not None:
            self._forget_owner(oldest.account_id, oldest.order_id)
        if self._head > 1024 and self._head * 2 > len(self._entries):
            del self._entries[: self._head]
            self._head = 0

    def _forget_owner(self, account_id: str, order_id: str) -> None:
        orders = self._of_account[account_id]
        orders[order_id] -= 1
        if not orders[order_id]:
            del orders[order_id]
        if not orders:
            del self._of_account[account_id]
