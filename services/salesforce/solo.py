"""The API allowance as one process keeps it alone, while the fleet's counter is away: little, and only what is urgent.

A header tells the use of the whole org, so no share need be assumed; only the calls that all processes may have
open beside it are taken off.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from services.kernel.clock import SYSTEM, Clock
from services.salesforce.answers import Usage
from services.salesforce.calls import CallClass
from services.salesforce.grants import Grant, Withheld

MOST_OPEN = 3
"""Calls that a process has open at most while alone."""
_FRESH = 60.0
"""Seconds for which the process's own last header is good enough."""
_BLOCK = 60.0
"""Seconds without calls after Salesforce said that the day's are spent."""
_SOON = 0.05


class SoloBudget:
    """Grants of one process. processes: most that may be running beside it, itself included."""

    def __init__(self, floors: Mapping[CallClass, float], processes: int, clock: Clock = SYSTEM) -> None:
        self._floors = floors
        self._others = processes * MOST_OPEN
        self._clock = clock
        self._open: dict[str, float] = {}
        self._learning: str | None = None
        self._usage: Usage | None = None
        self._seen_at = self._seen_of = float("-inf")
        self._blocked_until = float("-inf")

    async def reserve(self, call_class: CallClass, seconds: float) -> Grant | Withheld:
        now = self._clock.monotonic()
        if self._blocked_until > now:
            return Withheld("blocked", self._blocked_until - now)
        if call_class > CallClass.WRITE:
            return Withheld("alone")
        if len(self._open) >= MOST_OPEN or self._learning is not None:
            return Withheld("alone", _SOON)
        grant = Grant(secrets.token_hex(8), call_class, life="", started=0)
        if self._usage is None or now - self._seen_at >= _FRESH:
            self._learning = grant.id
        elif not self._above_floor(self._usage, call_class):
            return Withheld("floor")
        self.took(grant)
        return grant

    def took(self, grant: Grant) -> None:
        """Count a call as open that the fleet's counter granted."""
        self._open[grant.id] = self._clock.monotonic()

    async def settle(self, grant: Grant, usage: Usage | None, spent: bool) -> None:
        now = self._clock.monotonic()
        began = self._open.pop(grant.id, now)
        if self._learning == grant.id:
            self._learning = None
        if spent:
            self._blocked_until = now + _BLOCK
        if usage is not None and began >= self._seen_of:
            self._usage, self._seen_at, self._seen_of = usage, now, began

    def _above_floor(self, usage: Usage, call_class: CallClass) -> bool:
        return usage.max - usage.used - self._others - 1 >= self._floors[call_class] * usage.max
