"""The org's own time.  All stamps, tokens and retention come from here, never from the machine directly."""

import time


class Clock:
    """Wall time plus an offset in milliseconds, which can be moved while the org runs.

    A step back of the machine's clock does not reach the org: commit times must not run backward by accident.
    """

    __slots__ = ("_latest", "offset_ms")

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms
        self._latest = 0

    def now_ms(self) -> int:
        self._latest = max(self._latest, time.time_ns() // 1_000_000)
        return self._latest + self.offset_ms

    def now_s(self) -> float:
        return self.now_ms() / 1000
