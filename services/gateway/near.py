"""Answers in the process's own memory, for a second or two; told tags drop them at once.

An answer may be put only if none of its tags was told since its read began, else the message that would drop it has
already gone by. Without a live subscription nothing is kept at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.gateway.entry import Entry
from services.kernel.clock import Clock

_MOST_ENTRIES = 4_096
_TOLD_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class _Kept:
    entry: Entry
    tags: Sequence[str]
    until: float


class Near:
    def __init__(self, clock: Clock, seconds: float, most_bytes: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._keys: dict[str, set[str]] = {}
        self._bytes = 0
        self._on = False
        self._count = 0
        self._floor = 0
        self._told: OrderedDict[str, int] = OrderedDict()

    @property
    def is_on(self) -> bool:
        return self._on

    @property
    def count(self) -> int:
        """To be taken before the read whose answer is to be put."""
        return self._count

    def get(self, key: str) -> Entry | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= self._clock.monotonic():
            self._drop(key)
            return None
        return kept.entry

    def put(self, key: str, tags: Sequence[str], entry: Entry, count: int) -> bool:
        """Keep an answer whose read began at `count`; False when it is too late, too large or off."""
        if not self._on or count < self._floor or any(self._told.get(tag, -1) > count for tag in tags):
            return False
        if len(entry.body) > self._most_bytes:
            return False
        if key in self._kept:
            self._drop(key)
        self._kept[key] = _Kept(entry, tags, self._clock.monotonic() + self._seconds)
        self._bytes += len(entry.body)
        for tag in tags:
            self._keys.setdefault(tag, set()).add(key)
        while self._bytes > self._most_bytes or len(self._kept) > _MOST_ENTRIES:
            self._drop(next(iter(self._kept)))
        return True

    def told(self, tags: Iterable[str]) -> int:
        """Drop what lies under these tags; how many answers that were."""
        self._count += 1
        dropped = 0
        for tag in tags:
            self._remember(tag)
            for key in tuple(self._keys.get(tag, ())):
                self._drop(key)
                dropped += 1
        return dropped

    def switch_on(self) -> None:
        """The subscription is confirmed: what was read before it counts for nothing."""
        self._clear()
        self._on = True

    def switch_off(self) -> None:
        self._on = False
        self._clear()

    def _clear(self) -> None:
        self._count += 1
        self._floor = self._count
        self._kept.clear()
        self._keys.clear()
        self._told.clear()
        self._bytes = 0

    def _remember(self, tag: str) -> None:
        self._told[tag] = self._count
        self._told.move_to_end(tag)
        if len(self._told) > _TOLD_REMEMBERED:
            # Of what is forgotten nobody can say any more whether it was told; so whoever began before is refused.
            self._floor = max(self._floor, self._told.popitem(last=False)[1])

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key)
        self._bytes -= len(kept.entry.body)
        for tag in kept.tags:
            keys = self._keys[tag]
            keys.discard(key)
            if not keys:
                del self._keys[tag]
