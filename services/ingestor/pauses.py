"""How long to stay away after a stream ended, by why it did: never hammering, never longer than it helps."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from services.kernel.retry import Backoff
from services.salesforce.errors import Refused
from services.salesforce.pubsub.errors import AllowanceSpent, Throttled, TopicRefused

SOON = (0.2, 5.0)
"""First and longest pause, in seconds: a broken connection, a service that restarts, a token that ran out."""
LATER = (5.0, 60.0)
"""Salesforce protects itself, or somebody has to change something in the org."""
MUCH_LATER = (60.0, 600.0)
"""The deliveries of 24 hours are spent; a window that long moves slowly."""


@dataclass(slots=True)
class Pauses:
    """The pauses of one stream: each kind grows by itself until the stream has brought something."""

    draw: Callable[[], float] = random.random
    _growing: dict[tuple[float, float], Backoff] = field(default_factory=dict, init=False)

    def after(self, error: Exception) -> float:
        """Seconds to wait before the next try."""
        kind = _kind(error)
        backoff = self._growing.setdefault(kind, Backoff(first=kind[0], longest=kind[1], draw=self.draw))
        return backoff.next()

    def reset(self) -> None:
        """The stream lives."""
        self._growing.clear()


def _kind(error: Exception) -> tuple[float, float]:
    match error:
        case AllowanceSpent():
            return MUCH_LATER
        case Throttled() | TopicRefused() | Refused():
            return LATER
        case _:
            return SOON
