"""Starts of reads: no two reads of a process share a number. Pure."""

from __future__ import annotations

from collections import deque

_REMEMBERED = 20_000
"""Starts remembered: far more than a process reads in the second that one `Date` stands for."""


class Starts:
    """Gives each read its own start, a millisecond later than asked for each one that is taken.

    The versions of two reads of one record must differ. The margin M swallows the milliseconds.
    """

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._order: deque[int] = deque()

    def take(self, began_ms: int) -> int:
        while began_ms in self._taken:
            began_ms += 1
        self._taken.add(began_ms)
        self._order.append(began_ms)
        if len(self._order) > _REMEMBERED:
            self._taken.discard(self._order.popleft())
        return began_ms
