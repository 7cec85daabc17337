"""What a story does to the running stack: edits in the org, deaths of processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.support.umbra import Umbra

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Stack:
    umbra: Umbra

    @property
    def address(self) -> str:
        """What a browser opens."""
        return self.umbra.address

    async def edit(self, method: str, path: str, body: object = None) -> Any:
        """A call of the simulator's control endpoint that has to work."""
        url = self.umbra.control + path
        async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def price(self, sku: str, yen: int) -> None:
        await self.edit("POST", "/price", {"sku": sku, "currency": "JPY", "price": yen})

    async def move(self, order_id: str, status: str) -> None:
        await self.edit("POST", f"/orders/{order_id}/status", {"status": status})

    async def seeded_draft(self, customer: str) -> str:
        """A customer's oldest order, in Draft. Older than the stack, so no provisioning system moves it."""
        orders = await self.orders_of(customer)
        oldest = min(orders, key=lambda order: str(order["CreatedDate"]))
        if oldest["Status"] != "Draft":
            await self.move(oldest["Id"], "Draft")
        return str(oldest["Id"])

    async def orders_of(self, customer: str) -> list[dict[str, Any]]:
        account = await self.account(customer)
        orders = (await self.edit("GET", "/records/Order"))["records"]
        return [order for order in orders if order["AccountId"] == account]

    async def account(self, customer: str) -> str:
        accounts = (await self.edit("GET", "/demo/accounts"))["accounts"]
        return next(str(each["account_id"]) for each in accounts if each["name"].startswith(customer))

    @contextlib.asynccontextmanager
    async def without_salesforce(self) -> AsyncIterator[None]:
        await self.edit("POST", "/switch", {"salesforce": "off"})
        try:
            yield
        finally:
            await self.edit("POST", "/switch", {"salesforce": "on"})

    @contextlib.asynccontextmanager
    async def killed(self, name: str) -> AsyncIterator[None]:
        """The process is gone by kill -9 before the block begins, and again each time the supervisor brings it back."""
        self.umbra.kill(name)
        killing = asyncio.create_task(self._keep_dead(name), name=f"keep {name} dead")
        try:
            yield
        finally:
            killing.cancel()
            await asyncio.wait({killing})

    async def _keep_dead(self, name: str) -> None:
        while True:
            process = self.umbra.process(name)
            if process["state"] in {"starting", "ready"}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process["pid"]), signal.SIGKILL)
            await asyncio.sleep(_POLL_SECONDS)
