"""The local stack as its command starts it, on free ports, and what a test does to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.stack import state as states
from sandbox.stack.settings import ROOT
from tests.support import stack

_START_SECONDS = 150
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack: `address` is the front port, `control` edits the org."""

    directory: Path
    address: str
    control: str

    def state(self) -> states.StackState:
        found = states.read(self.directory)
        assert found is not None
        return found

    def process(self, name: str) -> states.ProcessState:
        return next(process for process in self.state().processes if process.name == name)

    async def edit(self, method: str, path: str, body: object = None) -> Any:
        """A call of the simulator's control endpoint that has to work."""
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.control + path, json=body) as answer,
        ):
            answer.raise_for_status()
            return await answer.json()

    async def price(self, sku: str, yen: int) -> None:
        await self.edit("POST", "/price", {"sku": sku, "currency": "JPY", "price": yen})

    async def move(self, order_id: str, status: str) -> None:
        await self.edit("POST", f"/orders/{order_id}/status", {"status": status})

    async def order_of(self, customer: str, status: str) -> str:
        """The seeded order of a customer in a status."""
        account = (await self.account(customer))["account_id"]
        orders = (await self.edit("GET", "/records/Order"))["records"]
        found = [order for order in orders if order["AccountId"] == account and order["Status"] == status]
        assert found, f"{customer} has no order in {status}"
        return str(found[0]["Id"])

    async def account(self, customer: str) -> dict[str, str]:
        accounts = (await self.edit("GET", "/demo/accounts"))["accounts"]
        return next(account for account in accounts if account["name"].startswith(customer))

    @contextlib.asynccontextmanager
    async def without_salesforce(self) -> AsyncIterator[None]:
        await self.edit("POST", "/switch", {"salesforce": "off"})
        try:
            yield
        finally:
            await self.edit("POST", "/switch", {"salesforce": "on"})

    @contextlib.asynccontextmanager
    async def killed(self, name: str) -> AsyncIterator[None]:
        """The process is gone by kill -9 from the first line of the block on, however often it is brought back."""
        self._kill(name)
        killing = asyncio.create_task(self._keep_killing(name), name=f"keep {name} dead")
        try:
            yield
        finally:
            killing.cancel()
            await asyncio.wait({killing})

    async def _keep_killing(self, name: str) -> None:
        while True:
            self._kill(name)
            await asyncio.sleep(_POLL_SECONDS)

    def _kill(self, name: str) -> None:
        process = self.process(name)
        if process.pid is not None and states.is_alive(process.pid, process.birth):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def started() -> Iterator[Stack]:
    with stack.scratch("e2e") as directory:
        try:
            _umbra(directory, "up", "--free-ports", "--detach")
            state = states.read(directory)
            assert state is not None
            yield Stack(directory, state.address, state.control)
        finally:
            _umbra(directory, "down")


def _umbra(directory: Path, command: str, *flags: str) -> None:
    """Run an umbra command; what it said is in the error when it fails."""
    words = [sys.executable, "-m", "services.ops", command, "--state-dir", str(directory), *flags]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=_START_SECONDS, check=False)
    assert done.returncode == 0, f"umbra {command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
