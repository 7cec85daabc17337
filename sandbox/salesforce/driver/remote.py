"""Steps played on a running sandbox by its control endpoint."""

from typing import Any

import aiohttp
import msgspec

from sandbox.salesforce.driver.history import STANDARD
from sandbox.salesforce.driver.steps import BEHAVE, WAIT, Names, Step


class Remote:
    """`control` is the address of the control endpoint.  Waits move the org's clock on, real time passes anyway."""

    def __init__(self, session: aiohttp.ClientSession, control: str, names: Names) -> None:
        self._session = session
        self._control = control
        self._names = names
        self.refused = 0

    async def play(self, step: Step) -> bool:
        """False for a step that the org refused, or that depends on one."""
        body = self._names.body(step)
        if body is None:
            self.refused += 1
            return False
        if step.what == WAIT:
            await self._wait(int(body["ms"]))
            return True
        path = "/oddities" if step.what == BEHAVE else f"/oddities/{step.what}"
        status, answer = await self._post(path, body)
        if status >= 400:
            self.refused += 1
            return False
        self._names.learn(step, answer)
        return True

    async def _wait(self, ms: int) -> None:
        async with self._session.get(f"{self._control}/clock") as response:
            offset = (await response.json())["offset_ms"]
        await self._post("/clock", {"offset_ms": offset + ms})

    async def _post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        content = msgspec.json.encode(body)
        async with self._session.post(f"{self._control}{path}", data=content) as response:
            return response.status, await response.json()


async def connected(session: aiohttp.ClientSession, control: str) -> Remote:
    """Ready to play: the org's standard price book has its name.  Raises LookupError where there is none."""
    async with session.get(f"{control}/records/Pricebook2") as response:
        books = (await response.json())["records"]
    standard = next((book["Id"] for book in books if book["IsStandard"]), None)
    if standard is None:
        raise LookupError("the org has no standard price book")
    return Remote(session, control, Names({STANDARD: standard}))
