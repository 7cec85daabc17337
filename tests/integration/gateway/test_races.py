"""Readers on two instances while prices change, caches are emptied and tags evicted: nobody goes back in time."""

from __future__ import annotations

import asyncio
import random

from tests.integration.gateway.world import Client, World

SKU = "INT-HOME-GOLD-1G"
PATHS = (f"/catalog/products/{SKU}", f"/catalog/prices?sku={SKU}", "/catalog/products?class=Internet")
CHANGES = 40


async def test_a_read_begun_after_the_tags_were_told_never_shows_an_older_price(world: World) -> None:
    entry_id = world.entry(SKU)["Id"]
    told, late, reads = 0, [], 0
    done = asyncio.Event()

    async def read(gateway: Client, rng: random.Random) -> None:
        nonlocal reads
        while not done.is_set():
            least, path = told, rng.choice(PATHS)
            answer = await gateway.get(path)
            reads += 1
            if _price(answer.body, entry_id) < least:
                late.append((path, least, answer.source))

    async def disturb(rng: random.Random) -> None:
        while not done.is_set():
            if rng.random() < 0.3:
                await world.redis.flushall()
            else:
                await world.redis.delete(f"t:{{catalog}}:catalog:sku:{SKU}")
            await asyncio.sleep(rng.random() / 50)

    async with world.gateway(UMBRA_NEAR_SECONDS="0") as one, world.gateway(UMBRA_NEAR_SECONDS="0") as other:
        await world.change("PricebookEntry", entry_id, UnitPrice="1000")
        await world.tell()
        told = 1000
        tasks = [asyncio.create_task(read(gateway, random.Random(n))) for n in range(4) for gateway in (one, other)]
        tasks.append(asyncio.create_task(disturb(random.Random(9))))
        for step in range(1, CHANGES + 1):
            await world.change("PricebookEntry", entry_id, UnitPrice=str(1000 + step))
            await world.tell()
            told = 1000 + step
            await asyncio.sleep(0.01)
        done.set()
        await asyncio.gather(*tasks)

    assert late == []
    assert reads > CHANGES


def _price(body: dict[str, object], entry_id: str) -> int:
    found = _entries(body)
    return round(float(str(next(entry["unitPrice"] for entry in found if entry["pricebookEntryId"] == entry_id))))


def _entries(body: object) -> list[dict[str, object]]:
    if isinstance(body, dict):
        if "pricebookEntryId" in body:
            return [body]
        return [entry for value in body.values() for entry in _entries(value)]
    return [entry for value in body for entry in _entries(value)] if isinstance(body, list) else []
