"""Breaker: while Salesforce is away, calls fail at once instead of each finding out by itself. Pure."""

from __future__ import annotations

from services.kernel.retry import Backoff

_FAILURES = 5
"""Failures in a row that mean "away" and not "unlucky"."""


class Breaker:
    """Closed while calls work; open after failures in a row, and then one call at a time is let through to look."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0
        self._pause = Backoff(first=1.0, longest=30.0)

    def wait(self, now: float) -> float | None:
        """None when a call may go (an open breaker thereby lets one go), else seconds until one may."""
        if self._failures < _FAILURES:
            return None
        if now < self._open_until:
            return self._open_until - now
        self._open_until = now + self._pause.next()
        return None

    def worked(self) -> None:
        """Salesforce answered, if only with an error of its own."""
        self._failures = 0
        self._pause.reset()

    def failed(self, now: float) -> None:
        """Salesforce was not there."""
        self._failures += 1
        if self._failures == _FAILURES:
            self._open_until = now + self._pause.next()

    @property
    def is_open(self) -> bool:
        return self._failures >= _FAILURES
