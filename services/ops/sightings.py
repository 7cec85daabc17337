"""Makes one change after the other in the org and times when each is seen: in its row, in an answer, in a stream.

Times are seconds from just before the change was asked for.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg

_PATIENCE_SECONDS = 15.0
_POLL_SECONDS = 0.003
# Requests alternate between the instances, so this many new answers in a row come from all of them.
_INSTANCES = 2
_FLIP = {"Activating": "Activated"}


class NotSeen(Exception):
    """A change did not arrive where it should have, in time."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a change is made and where it is looked for."""

    front: str
    control: str
    identity: str
    session: aiohttp.ClientSession
    connection: asyncpg.Connection

    async def token(self, account_id: str) -> dict[str, str]:
        async with self.session.post(f"{self.identity}/token", json={"accountId": account_id}) as answer:
            answer.raise_for_status()
            return {"Authorization": f"Bearer {(await answer.json())['token']}"}

    async def accounts(self) -> list[str]:
        async with self.session.get(f"{self.identity}/accounts") as answer:
            answer.raise_for_status()
            return [account["accountId"] for account in (await answer.json())["accounts"]]


@dataclass(frozen=True, slots=True)
class PriceSeen:
    row: float
    gateway: float


async def watch_prices(places: Places, changes: int) -> list[PriceSeen]:
    """Raise one price by one, again and again. Raises NotSeen."""
    caller = await places.token((await places.accounts())[0])
    entry = await _offered_entry(places, caller)
    return [await _one_price(places, entry, entry["unit_price"] + step, caller) for step in range(1, changes + 1)]


async def _offered_entry(places: Places, caller: dict[str, str]) -> Any:
    """The row of a price that is offered: of the book that is sold from, where there are others."""
    async with places.session.get(f"{places.front}/catalog/products", headers=caller) as answer:
        answer.raise_for_status()
        offered = [price["pricebookEntryId"] for each in (await answer.json())["products"] for price in each["prices"]]
    entry = await places.connection.fetchrow(_A_PRICE, offered)
    if entry is None:
        raise NotSeen("no price is offered that could be changed")
    return entry


async def _one_price(places: Places, entry: Any, price: Decimal, caller: dict[str, str]) -> PriceSeen:
    began = time.perf_counter()
    row = asyncio.create_task(_in_row(places, entry["pricebook_entry_id"], price), name="row")
    answer = asyncio.create_task(_in_answers(places, entry, price, caller), name="answers")
    try:
        url = f"{places.control}/records/PricebookEntry/{entry['pricebook_entry_id']}"
        async with places.session.patch(url, json={"UnitPrice": float(price)}) as changed:
            changed.raise_for_status()
        _, late = await asyncio.wait({row, answer}, timeout=_PATIENCE_SECONDS)
        if late:
            raise NotSeen(f"price {price} was not seen in: {', '.join(task.get_name() for task in late)}")
        return PriceSeen(row=row.result() - began, gateway=answer.result() - began)
    finally:
        row.cancel()
        answer.cancel()


async def _in_row(places: Places, entry_id: str, price: Decimal) -> float:
    while True:
        if await places.connection.fetchval(_THE_PRICE, entry_id) == price:
            return time.perf_counter()
        await asyncio.sleep(_POLL_SECONDS)


async def _in_answers(places: Places, entry: Any, price: Decimal, caller: dict[str, str]) -> float:
    """When the first of as many new answers in a row as there are instances came."""
    fresh: list[float] = []
    while len(fresh) < _INSTANCES:
        url = f"{places.front}/catalog/prices"
        async with places.session.get(url, params={"sku": entry["sku"]}, headers=caller) as answer:
            answer.raise_for_status()
            prices = {found["pricebookEntryId"]: found["unitPrice"] for found in (await answer.json())["prices"]}
        seen = prices.get(entry["pricebook_entry_id"]) == f"{price:.2f}"
        fresh = [*fresh, time.perf_counter()] if seen else []
        await asyncio.sleep(_POLL_SECONDS)
    return fresh[-1]


async def watch_statuses(places: Places, changes: int) -> list[float]:
    """Flip one order between two statuses and wait for each in its owner's stream. Raises NotSeen."""
    order = await places.connection.fetchrow(_AN_ORDER, await places.accounts())
    if order is None:
        raise NotSeen("no seeded account has an order that still moves")
    caller = await places.token(order["account_id"])
    url = f"{places.front}/orders/{order['order_id']}/events"
    endless = aiohttp.ClientTimeout(total=None, sock_read=_PATIENCE_SECONDS)
    async with places.session.get(url, headers=caller, timeout=endless) as stream:
        stream.raise_for_status()
        frames = _frames(stream)
        status, seen = order["status"], []
        await _until(frames, "the stream's first frame", lambda event, _: event == "stream")
        for _ in range(changes):
            status = _FLIP.get(status, "Activating")
            seen.append(await _one_status(places, order["order_id"], status, frames))
        return seen


async def _one_status(
    places: Places, order_id: str, status: str, frames: AsyncIterator[tuple[str, dict[str, Any]]]
) -> float:
    began = time.perf_counter()
    url = f"{places.control}/orders/{order_id}/status"
    async with places.session.post(url, json={"status": status}) as changed:
        changed.raise_for_status()
    await _until(
        frames,
        f"status {status} of order {order_id}",
        lambda event, data: event == "order.update" and data.get("status") == status,
    )
    return time.perf_counter() - began


async def _until(frames: AsyncIterator[tuple[str, dict[str, Any]]], what: str, wanted: Any) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            async for event, data in frames:
                if wanted(event, data):
                    return
    except TimeoutError as error:
        raise NotSeen(f"{what} did not come") from error
    raise NotSeen(f"the stream ended before {what} came")


async def _frames(stream: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Event name and data of each frame; one data line a frame, as the notifier writes them."""
    event, data = "message", ""
    async for raw in stream.content:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = line.removeprefix("data: ")
        elif not line:
            if data:
                yield event, json.loads(data)
            event, data = "message", ""


_A_PRICE = """
SELECT e.pricebook_entry_id, e.unit_price, p.sku
FROM sf_pricebook_shadow e JOIN sf_product_shadow p USING (product_id)
WHERE e.pricebook_entry_id = ANY($1::text[]) ORDER BY e.pricebook_entry_id LIMIT 1
"""
_THE_PRICE = "SELECT unit_price FROM sf_pricebook_shadow WHERE pricebook_entry_id = $1"
_AN_ORDER = """
SELECT order_id, account_id, status FROM sf_order_shadow
WHERE account_id = ANY($1) AND status NOT IN ('Draft', 'Completed', 'Failed', 'Cancelled')
ORDER BY order_id LIMIT 1
"""
