"""All live streams of this instance: who hears of an order, who is due for a heartbeat, who waits for his socket."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from services.notifier.ring import Entry
from services.notifier.streams import Wire

SLOTS = 100
"""Of the timer wheel: a heartbeat interval in this many steps, each stream in one of them."""


class Stream(Protocol):
    """What the registry does with a stream, of one order or of an account."""

    @property
    def kind(self) -> str: ...
    @property
    def account_id(self) -> str: ...
    @property
    def wire(self) -> Wire: ...
    @property
    def has_gap(self) -> bool: ...
    @property
    def waiting(self) -> bool: ...
    @property
    def is_ahead(self) -> bool: ...
    def offer(self, entry: Entry) -> None: ...
    def adopt(self, entry: Entry) -> None: ...
    def flush(self) -> bool: ...
    def beat(self, data: bytes) -> None: ...
    def tell(self, event: str, data: bytes, retry_ms: int | None = None) -> None: ...
    def check_ahead(self) -> None: ...


class Registry:
    """Streams by the key they listen to: an order id or an account id."""

    def __init__(self) -> None:
        self._by_key: dict[str, set[Stream]] = {}
        self._keys: dict[Stream, tuple[str, ...]] = {}
        self._slots: list[set[Stream]] = [set() for _ in range(SLOTS)]
        self._slot_of: dict[Stream, int] = {}
        self._now = 0
        self._waiting: dict[Stream, float] = {}
        self._ahead: set[Stream] = set()
        self._of_account: Counter[str] = Counter()
        self._of_kind: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._keys))

    def add(self, stream: Stream, *keys: str) -> None:
        """From now on the stream hears of these keys; its first heartbeat comes one interval later."""
        self._keys[stream] = keys
        self._of_account[stream.account_id] += 1
        self._of_kind[stream.kind] += 1
        for key in keys:
            self._by_key.setdefault(key, set()).add(stream)
        self._slot_of[stream] = self._now
        self._slots[self._now].add(stream)
        self._note(stream)
        if stream.is_ahead:
            self._ahead.add(stream)

    def remove(self, stream: Stream) -> None:
        """Forget a stream that was added."""
        for key in self._keys.pop(stream):
            listeners = self._by_key[key]
            listeners.discard(stream)
            if not listeners:
                del self._by_key[key]
        self._slots[self._slot_of.pop(stream)].discard(stream)
        self._of_account -= Counter((stream.account_id,))
        self._of_kind -= Counter((stream.kind,))
        self._waiting.pop(stream, None)
        self._ahead.discard(stream)

    def of_account(self, account_id: str) -> int:
        """Streams that an account has open here."""
        return self._of_account[account_id]

    def dispatch(self, entry: Entry, *keys: str | None) -> int:
        """Offer a record to whoever listens to one of these keys; says to how many."""
        listeners = [stream for key in keys if key is not None for stream in self._by_key.get(key, ())]
        for stream in listeners:
            stream.offer(entry)
            self._note(stream)
        return len(listeners)

    def adopt(self, entry: Entry, account_id: str) -> None:
        """Hand an earlier record, whose owner has become known, to the account's own streams."""
        for stream in self._by_key.get(account_id, ()):
            stream.adopt(entry)
            self._note(stream)

    def of_kind(self, kind: str) -> int:
        return self._of_kind[kind]

    def settle(self) -> None:
        """After a batch of the log: streams whose clients had read further than this instance compare."""
        for stream in list(self._ahead):
            stream.check_ahead()
            if not stream.is_ahead:
                self._ahead.discard(stream)

    def tick(self, data: Callable[[], bytes]) -> None:
        """One step of the wheel."""
        self._now = (self._now + 1) % SLOTS
        due = self._slots[self._now]
        if due:
            beat = data()
            for stream in due:
                stream.beat(beat)

    def flush(self, patience: float) -> Iterable[Stream]:
        """Write what waits where the socket takes it again; those that waited too long are returned."""
        now = time.monotonic()
        stuck = []
        for stream, since in list(self._waiting.items()):
            if stream.flush():
                del self._waiting[stream]
            elif now - since > patience:
                stuck.append(stream)
        return stuck

    def _note(self, stream: Stream) -> None:
        if stream.waiting:
            self._waiting.setdefault(stream, time.monotonic())
