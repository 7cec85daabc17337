"""5,000 changes while the ingestor, the projector and the broker are killed: nothing lost, nothing doubled.

The org is the truth: at the end every row equals it, field by field, and every reader has seen each change of
its order's status once, in version order.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from sandbox.stack import cache, local, settings
from sandbox.stack.settings import StackSettings
from schemas import mapping
from tests.support import comparison, stack
from tests.support.eventually import eventually
from tests.support.watching import Reader

CHANGES = 5_000
WATCHED = 5
ROUNDS = 25
STEPS = ("Activating", "Activated")
"""None of them final, which would end the stream; none Draft, which would start the provisioning."""
KILLS = ("ingestor", "projector", "kafka", "projector", "ingestor", "kafka")


@dataclass(slots=True)
class Org:
    """The org's control endpoint, as a person at its page would use it."""

    session: aiohttp.ClientSession
    control: str

    async def update(self, name: str, record_id: str, **fields: Any) -> None:
        async with self.session.patch(f"{self.control}/records/{name}/{record_id}", json=fields) as answer:
            assert answer.status < 300, await answer.text()

    async def set_status(self, order_id: str, status: str) -> None:
        async with self.session.post(f"{self.control}/orders/{order_id}/status", json={"status": status}) as answer:
            assert answer.status < 300, await answer.text()

    async def alive(self, name: str) -> list[str]:
        records = await comparison.org_records(self.session, self.control, name)
        return sorted(key for key, record in records.items() if not record["IsDeleted"])


@asynccontextmanager
async def started() -> AsyncIterator[local.LocalStack]:
    with stack.scratch("chaos") as state:
        chosen = StackSettings(
            state=state,
            cache=cache.directory(os.environ, Path.cwd() / ".umbra" / "cache"),
            ports=settings.chosen_ports({}, free=True),
        )
        async with local.running(chosen, os.environ, lambda change: None) as running:
            yield running


def pid_of(running: local.LocalStack, name: str) -> int | None:
    return next((process.pid for process in running.state.processes if process.name == name), None)


async def kill_in_turn(running: local.LocalStack, names: tuple[str, ...]) -> None:
    for name in names:
        await asyncio.sleep(4)
        pid = await eventually(partial(pid_of, running, name), within=30)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)


async def edit(org: Org, rng: random.Random, count: int) -> None:
    """Prices, names and eligibility, several at once; no value repeats, so each is a change."""
    entries, products = await org.alive("PricebookEntry"), await org.alive("Product2")
    accounts = await org.alive("Account")
    numbers = itertools.count(1)

    async def one() -> None:
        number = next(numbers)
        match rng.randrange(3):
            case 0:
                await org.update("PricebookEntry", rng.choice(entries), UnitPrice=1000 + number)
            case 1:
                await org.update("Product2", rng.choice(products), Description=f"edition {number}")
            case _:
                await org.update("Account", rng.choice(accounts), Eligibility_Source__c=f"survey {number}")

    for _ in range(count // 50):
        await asyncio.gather(*(one() for _ in range(50)))
        await asyncio.sleep(0.25)


async def move(org: Org, order_id: str, begin: str, made: list[str]) -> None:
    """Two statuses of one order are at least a second apart: a commit's time has whole seconds."""
    after = STEPS.index(begin) + 1 if begin in STEPS else 0
    for status in itertools.islice(itertools.cycle(STEPS), after, after + ROUNDS):
        await org.set_status(order_id, status)
        made.append(status)
        await asyncio.sleep(1.1)


async def watched_orders(
    session: aiohttp.ClientSession, running: local.LocalStack, org: Org
) -> list[tuple[dict[str, Any], Reader]]:
    """Orders that are on their way, with a reader each."""
    records = await comparison.org_records(session, org.control, "Order")
    open_orders = [r for r in records.values() if r["Status"] in ("Draft", *STEPS) and not r["IsDeleted"]][:WATCHED]
    assert len(open_orders) == WATCHED
    return [(r, await reader_of(session, running, r["AccountId"], r["Id"])) for r in open_orders]


async def reader_of(
    session: aiohttp.ClientSession, running: local.LocalStack, account_id: str, order_id: str
) -> Reader:
    async with session.post(f"{running.state.identity}/token", json={"accountId": account_id}) as answer:
        token = (await answer.json())["token"]
    url = f"{running.state.address}/orders/{order_id}/events"
    return Reader(session, url, {"Authorization": f"Bearer {token}"})


@pytest.mark.timeout(420)
async def test_kills_in_the_middle_of_5000_changes_lose_nothing_and_double_nothing() -> None:
    rng = random.Random(11)
    async with started() as running, aiohttp.ClientSession() as session:
        org = Org(session, running.state.control)
        watched = await watched_orders(session, running, org)
        followers = [asyncio.create_task(reader.follow(), name=order["Id"]) for order, reader in watched]
        await eventually(lambda: all(reader.connects for _, reader in watched), within=20)
        made: dict[str, list[str]] = {order["Id"]: [] for order, _ in watched}

        async with asyncio.TaskGroup() as group:
            group.create_task(kill_in_turn(running, KILLS))
            group.create_task(edit(org, rng, CHANGES - ROUNDS * WATCHED))
            for order, _ in watched:
                group.create_task(move(org, order["Id"], order["Status"], made[order["Id"]]))

        restarts = {process.name: process.restarts for process in running.state.processes}
        assert {name: restarts[name] for name in set(KILLS)} == {name: KILLS.count(name) for name in set(KILLS)}
        await settled(session, running)
        for order, reader in watched:
            await eventually(partial(ended, reader, made[order["Id"]]), within=60)
        for task in followers:
            task.cancel()
        for order, reader in watched:
            check(reader, made[order["Id"]])


def ended(reader: Reader, made: list[str]) -> bool:
    return bool(reader.shown) and reader.shown[-1]["status"] == made[-1]


async def settled(session: aiohttp.ClientSession, running: local.LocalStack) -> None:
    connection = await asyncpg.connect(running.state.environment["UMBRA_POSTGRES_DSN"])
    try:

        async def equal() -> bool:
            found = await comparison.differences(session, running.state.control, connection, mapping.load())
            assert not found, f"{len(found)} differ: " + "; ".join(found[:8])
            return True

        await eventually(equal, within=120)
    finally:
        await connection.close()


def check(reader: Reader, made: list[str]) -> None:
    """Every change once, in version order; what was shown at connect (the state before) may lead."""
    shown = [update["status"] for update in reader.shown]
    versions = [update["version"] for update in reader.shown]
    first = len(shown) - len(made)
    assert first in (0, 1), (shown, made)
    assert shown[first:] == made
    assert versions == sorted(set(versions))
    assert not any(update.get("skipped") for update in reader.shown)
    assert set(reader.refused) <= {502, 503}
