"""What a caller says of a call: its class, which decides who goes first and who stops first, and its deadline."""

from __future__ import annotations

import time
from enum import IntEnum


class CallClass(IntEnum):
    """Classes of calls, the most urgent first; each has a floor of the daily allowance that it leaves to the others."""

    INTERACTIVE = 0
    WRITE = 1
    REPAIR = 2
    DELTA = 3
    BACKFILL = 4

    @property
    def label(self) -> str:
        """Its name in metrics and settings."""
        return self.name.lower()


def within(seconds: float) -> float:
    """A deadline `seconds` from now, as every call of the door takes it: a moment of `time.monotonic()`."""
    return time.monotonic() + seconds
