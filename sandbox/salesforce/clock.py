"""The org's own time.  All stamps, tokens and retention come from here, never from the machine directly."""

import time
from collections.abc import Callable


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Clock:
    """Wall time plus an offset in milliseconds, and faster by a factor; both can be moved while the org runs.

    A step back of the machine's clock does not reach the org: commit times must not run backward by accident.
    """

    __slots__ = ("_latest", "_since_ms", "_wall", "_wall_since_ms", "offset_ms", "speed")

    def __init__(self, offset_ms: int = 0, wall: Callable[[], int] = wall_ms) -> None:
        self.offset_ms = offset_ms
        self.speed = 1.0
        self._wall = wall
        self._latest = self._wall_since_ms = self._since_ms = wall()

    def now_ms(self) -> int:
        return self._machine_ms() + self.offset_ms

    def _machine_ms(self) -> int:
        """The machine's time, stretched since the speed was last set."""
        self._latest = max(self._latest, self._wall())
        return self._since_ms + round((self._latest - self._wall_since_ms) * self.speed)

    def set_speed(self, speed: float) -> None:
        """Seconds of the org in one of the machine's, from now on.  ValueError for none above 0."""
        if not 0 < speed <= 86_400:
            raise ValueError("speed must be above 0")
        self._since_ms = self._machine_ms()
        self._wall_since_ms = self._latest
        self.speed = speed

    def now_s(self) -> float:
        return self.now_ms() / 1000
