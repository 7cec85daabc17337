"""Records whose order's account is not known yet: held back for the account streams until somebody names it.

A cursor of an account never passes one of them. After `PATIENCE_SECONDS` in which Postgres answered and knew no
account, a record is let go: the order will be in the snapshot of whoever connects once it has a row.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from services.notifier.ring import Entry

PATIENCE_SECONDS = 120.0
MOST = 10_000
"""Records held; above it the oldest order is let go."""


@dataclass(slots=True)
class _Held:
    since: float
    entries: deque[Entry] = field(default_factory=deque)


class Unowned:
    def __init__(self) -> None:
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, entry: Entry, now: float) -> None:
        """Hold a record, in log order per order; one that is held already is not held twice."""
        held = self._held.setdefault(entry.order_id, _Held(now))
        if held.entries and held.entries[-1].offset >= entry.offset:
            return
        held.entries.append(entry)
        self._count += 1
        while self._count > MOST:
            self._count -= len(self._held.popitem(last=False)[1].entries)

    def orders(self, most: int) -> list[str]:
        return list(self._held)[:most]

    def holds(self, order_id: str) -> bool:
        return order_id in self._held

    def pop(self, order_id: str) -> Entry | None:
        """The order's oldest record, no longer held; its later ones still keep cursors back."""
        held = self._held.get(order_id)
        if held is None:
            return None
        self._count -= 1
        entry = held.entries.popleft()
        if not held.entries:
            del self._held[order_id]
        return entry

    def let_go(self, order_ids: list[str], now: float) -> None:
        """Postgres knows none of these: those held for too long are dropped, the others asked for again, last."""
        for order_id in order_ids:
            held = self._held.get(order_id)
            if held is not None and now - held.since > PATIENCE_SECONDS:
                del self._held[order_id]
                self._count -= len(held.entries)
            elif held is not None:
                self._held.move_to_end(order_id)

    def first(self, partition: int) -> int | None:
        """The least offset held of a partition."""
        found = (held.entries[0] for held in self._held.values())
        return min((entry.offset for entry in found if entry.partition == partition), default=None)

    def clear(self) -> None:
        self._held.clear()
        self._count = 0
