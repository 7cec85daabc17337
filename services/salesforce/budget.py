"""The daily API allowance, kept by the whole fleet: no call starts that would break into another class's share.

`SharedBudget` is what a process uses: the fleet's counter, and while Valkey is away a rule that each process can
keep alone.
"""

from __future__ import annotations

import logging
import time

from redis.asyncio import Redis

from services.kernel.valkey import AWAY
from services.salesforce.answers import Usage
from services.salesforce.calls import CallClass
from services.salesforce.fleet import FleetBudget, Standing, limits_of
from services.salesforce.grants import Grant, Withheld
from services.salesforce.settings import SalesforceSettings
from services.salesforce.solo import SoloBudget

log = logging.getLogger(__name__)

_VALKEY_PAUSE = 5.0
"""Seconds for which Valkey is not asked again after it was away: each asking costs a call its time-out."""


class SharedBudget:
    """The fleet's counter, or this process alone while the counter is away."""

    def __init__(self, fleet: FleetBudget, alone: SoloBudget) -> None:
        self._fleet = fleet
        self._alone = alone
        self._away_until = 0.0

    async def reserve(self, call_class: CallClass, seconds: float) -> Grant | Withheld:
        if time.monotonic() >= self._away_until:
            try:
                outcome = await self._fleet.reserve(call_class, seconds)
            except AWAY as error:
                self._away(error)
            else:
                if isinstance(outcome, Grant):
                    self._alone.took(outcome)
                return outcome
        return await self._alone.reserve(call_class, seconds)

    async def settle(self, grant: Grant, usage: Usage | None, spent: bool) -> None:
        await self._alone.settle(grant, usage, spent)
        if not grant.life or time.monotonic() < self._away_until:
            return  # a reservation that nobody settles expires by itself
        try:
            await self._fleet.settle(grant, usage, spent)
        except AWAY as error:
            self._away(error)

    async def standing(self) -> Standing:
        """Where the fleet's counter stands; nothing known while it is away."""
        try:
            return await self._fleet.standing()
        except AWAY:
            return Standing(None, None, None)

    def _away(self, error: BaseException) -> None:
        self._away_until = time.monotonic() + _VALKEY_PAUSE
        log.warning(
            "the fleet's API counter is away, this process goes on alone",
            extra={"action": "budget_alone", "why": type(error).__name__},
        )


def budget_of(settings: SalesforceSettings, valkey: Redis) -> SharedBudget:
    limits = limits_of(settings)
    return SharedBudget(FleetBudget(valkey, limits), SoloBudget(limits.floors, settings.salesforce_fleet_processes))
