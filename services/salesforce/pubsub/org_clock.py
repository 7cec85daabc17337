"""What time it is by the org's clock, as a lower bound: what the org told us lately, and what has passed since."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from services.kernel.clock import SYSTEM, Clock

_FRESH_SECONDS = 3_600.0
"""An older answer counts no more where there is a newer one: our own clock has drifted away from it."""
_AGREE_SECONDS = 5.0
"""Answers are late by their time under way. One that lies lower by more than this says that those before were wrong."""
_KEPT = 64


@dataclass(slots=True)
class OrgClock:
    """Only elapsed time is our own; our wall clock may be wrong by any amount."""

    clock: Clock = SYSTEM
    _told: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """When, by our clock, and how far the org's was ahead of ours at least."""
    _ahead: float = 0.0

    def told(self, epoch_seconds: float) -> None:
        """The org said that it was at least so late; of those that agree with this the tightest bound is taken."""
        now = self.clock.monotonic()
        newest = epoch_seconds - now
        self._told.append((now, newest))
        fresh = (ahead for at, ahead in self._told if now - at <= _FRESH_SECONDS)
        self._ahead = max(ahead for ahead in fresh if ahead <= newest + _AGREE_SECONDS)

    def now_ms(self) -> int:
        """Epoch milliseconds that the org's clock has reached. ValueError before the org said anything."""
        if not self._told:
            raise ValueError("the org has not told the time yet")
        return int((self._ahead + self.clock.monotonic()) * 1000)
