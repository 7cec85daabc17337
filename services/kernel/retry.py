"""Backoff with full jitter, so that a fleet that failed together does not come back together."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Waits that double from `first` to at most `longest` seconds, each drawn from the upper half of its bound.

    The lower half is left out so that a retry never hammers.
    """

    first: float = 0.05
    longest: float = 2.0
    draw: Callable[[], float] = random.random
    _tries: int = field(default=0, init=False)

    def next(self) -> float:
        """Seconds to wait before the next try."""
        bound = min(self.longest, self.first * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return bound * (0.5 + 0.5 * self.draw())

    def reset(self) -> None:
        """To be called after a success."""
        self._tries = 0

    @property
    def tries(self) -> int:
        return self._tries
