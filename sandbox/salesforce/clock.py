"""The org's own time.  All stamps, tokens and retention come from here, never from the machine directly."""

import time
from datetime import UTC, datetime


class Clock:
    """Wall time plus an offset in milliseconds, which can be moved while the org runs."""

    __slots__ = ("offset_ms",)

    def __init__(self, offset_ms: int = 0) -> None:
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    def now_s(self) -> float:
        return self.now_ms() / 1000

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_s(), UTC)
