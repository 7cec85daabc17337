"""What time it is by the org's clock, as a lower bound: the last time the org told us, and what has passed since."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.kernel.clock import SYSTEM, Clock


@dataclass(slots=True)
class OrgClock:
    """Only elapsed time is our own; our wall clock may be wrong by any amount."""

    clock: Clock = SYSTEM
    _ahead: float = -math.inf

    def told(self, epoch_seconds: float) -> None:
        """The org said that it was at least so late; the tightest bound is kept."""
        self._ahead = max(self._ahead, epoch_seconds - self.clock.monotonic())

    def now_ms(self) -> int:
        """Epoch milliseconds that the org's clock has certainly reached. ValueError before the org said anything."""
        if self._ahead == -math.inf:
            raise ValueError("the org has not told the time yet")
        return int((self._ahead + self.clock.monotonic()) * 1000)
