"""When this process last certainly ran: what is read after it stood still may have lain in the socket since then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

BEAT_SECONDS = 0.25
STILL_SECONDS = 1.0
"""A beat so late says that the process was stopped, or its loop blocked."""
STEADY_SECONDS = 1.0
"""For so long beats have to come in time before what is read counts as read when it came."""


@dataclass(slots=True)
class Pulse:
    """monotonic: seconds that also pass while the process is stopped; org_now_ms: the org's clock, a lower bound"""

    monotonic: Callable[[], float]
    org_now_ms: Callable[[], int]
    _last: float = field(init=False)
    _resumed: float = field(init=False)
    _steady_ms: int = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.monotonic()
        self._resumed = self._last - STEADY_SECONDS
        self._steady_ms = self.org_now_ms()

    @property
    def steady(self) -> bool:
        """Whether the beats have come in time lately."""
        return self._last - self._resumed >= STEADY_SECONDS

    def beat(self) -> int:
        """To be called every BEAT_SECONDS, and with each response that is read, whichever comes first after a stop.

        Returns, in the org's epoch ms, a moment that whatever is read now did not come before.
        """
        now = self.monotonic()
        if now - self._last > STILL_SECONDS:
            self._resumed = now
        self._last = now
        if self.steady:
            self._steady_ms = self.org_now_ms()
        return self._steady_ms
