"""Takes one order through its steps, however often the systems around it are away meanwhile."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sandbox.fulfilment import steps
from sandbox.fulfilment.gateway import Gateway
from sandbox.fulfilment.http import Away, NotFound, Refused
from sandbox.fulfilment.salesforce import Salesforce

log = logging.getLogger(__name__)
T = TypeVar("T")

_FIRST_WAIT_SECONDS = 0.25
_LONGEST_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioning:
    """since: orders made before are left alone; None for no such limit"""

    salesforce: Salesforce
    gateway: Gateway
    since: datetime | None
    delay: float
    fail_every: int
    now: Callable[[], datetime]

    async def run(self, order_id: str) -> None:
        """Returns when the order needs nothing more from here."""
        try:
            state = await insistently(lambda: self.salesforce.order(order_id))
            for step in steps.ahead(order_id, state, since=self.since, fail_every=self.fail_every):
                await asyncio.sleep(self.delay)
                if not await self._take(order_id, step):
                    return
        except Refused as refusal:
            log.warning("order is left as it is: %s", refusal, extra={"action": "refused"})

    async def _take(self, order_id: str, step: steps.Step) -> bool:
        """Salesforce first: a status that Umbra reports is one that the org has. False when others moved the order."""
        state = await insistently(lambda: self.salesforce.order(order_id))
        if state.status not in steps.before(step):
            return False
        if state.status != step.status:
            await insistently(lambda: self.salesforce.move(order_id, step))
        at = self.now()
        await insistently(lambda: self._report(order_id, step, at))
        return True

    async def _report(self, order_id: str, step: steps.Step, at: datetime) -> None:
        try:
            await self.gateway.report(order_id, step, at)
        except NotFound as unknown:
            # The news of a new order may still be on its way. Asking the org ends the wait for one that is gone.
            await self.salesforce.order(order_id)
            raise Away(str(unknown)) from unknown


async def insistently(attempt: Callable[[], Awaitable[T]]) -> T:
    """Tries until it works, waiting longer each time. Raises Refused."""
    wait = _FIRST_WAIT_SECONDS
    while True:
        try:
            return await attempt()
        except Away as away:
            log.info("trying again: %s", away, extra={"action": "away"})
        await asyncio.sleep(wait * random.uniform(0.5, 1.0))
        wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
