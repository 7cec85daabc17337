"""Ingestors that die as planned and are started again at once, an org that dies and comes back, and who edits it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import grpc

from sandbox.salesforce import avro
from sandbox.stack.ports import FREE
from tests.contract.salesforce_sim.pubsub_client import EARLIEST, pubsub
from tests.integration.ingestor.harness import ROOT, Ingestor
from tests.support import salesforce_sim
from tests.support.salesforce_sim import Simulator

TOPICS = tuple(f"/data/{name}ChangeEvent" for name in ("Product2", "PricebookEntry", "Account"))
_OUTSIDE = ("stream", "frozen")
_FROZEN_SECONDS = 8.0
"""Longer than the session of a member, so that another takes over."""
_AWAY = (aiohttp.ClientError, TimeoutError)


class Death(NamedTuple):
    """point: stream (killed from outside while it works), frozen (until another owns its topics, then waked, then
    killed), or before, during, after a commit; at: seconds or commits"""

    point: str
    at: float


def deaths(rng: random.Random, count: int) -> list[Death]:
    """Every point as often as the others, in a drawn order, each at a drawn moment of its process's work."""
    points = list(itertools.islice(itertools.cycle(("stream", "before", "during", "after", "frozen")), count))
    rng.shuffle(points)
    return [Death(point, rng.uniform(0.0, 1.5) if point in _OUTSIDE else rng.randint(2, 25)) for point in points]


@dataclass(slots=True)
class Plan:
    """The deaths still to come, shared by all processes of the fleet."""

    left: list[Death]
    died: Counter[str] = field(default_factory=Counter)
    dying: int = 0

    @property
    def done(self) -> bool:
        return not self.left and not self.dying

    def next(self) -> Death | None:
        self.dying += bool(self.left)
        return self.left.pop() if self.left else None

    def has(self, death: Death) -> None:
        self.died[death.point] += 1
        self.dying -= 1


@asynccontextmanager
async def started(environ: Mapping[str, str], log: Path, death: Death | None) -> AsyncIterator[Ingestor]:
    port = FREE.take()
    mortal = death is not None and death.point not in _OUTSIDE
    env = {**os.environ, **environ, "UMBRA_ADMIN_PORT": str(port), "PYTHONPATH": str(ROOT)}
    if mortal and death is not None:
        env["UMBRA_TEST_DIES"] = f"{death.point}:{int(death.at)}"
    module = "tests.chaos.mortal" if mortal else "services.ingestor"
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, env=env, stdout=out, stderr=out)
    try:
        yield Ingestor(process, f"http://127.0.0.1:{port}", log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def member(environ: Mapping[str, str], log: Path, plan: Plan) -> None:
    """One place of the fleet: a process after the other, until cancelled."""
    while True:
        death = plan.next()
        async with started(environ, log, death) as ingestor:
            if death is not None and death.point in _OUTSIDE:
                await _works(ingestor)
                await asyncio.sleep(death.at)
                if death.point == "frozen":
                    await _freeze(ingestor)
                await ingestor.kill()
            code = await ingestor.process.wait()
            assert code == -signal.SIGKILL, f"{death}: ended with {code}, see {log}"
            assert death is not None, "nobody killed it"
            plan.has(death)


async def _freeze(ingestor: Ingestor) -> None:
    """With what it had in hand; it wakes and does not know."""
    os.kill(ingestor.process.pid, signal.SIGSTOP)
    await asyncio.sleep(_FROZEN_SECONDS)
    os.kill(ingestor.process.pid, signal.SIGCONT)
    await asyncio.sleep(1.0)


async def _works(ingestor: Ingestor) -> None:
    """It has committed something."""
    while True:
        with contextlib.suppress(*_AWAY):
            if await ingestor.metric("ingest_changes_total") > 0:
                return
        await asyncio.sleep(0.05)


class Org:
    """A simulated org at addresses that stay, whatever happens to its process."""

    def __init__(self, state: Path, *options: str) -> None:
        ports = ((name, FREE.take()) for name in ("http", "https", "grpc", "grpc-tls", "control"))
        self._options = (*options, *(word for name, port in ports for word in (f"--{name}-port", str(port))))
        self._state = state
        self._open = contextlib.ExitStack()
        self.sim = self._start()

    def _start(self) -> Simulator:
        return self._open.enter_context(salesforce_sim.running(self._state, *self._options))

    async def killed(self) -> None:
        """As a machine that goes down, and comes up with what it had shown."""
        self.sim.kill()
        await asyncio.sleep(0.5)
        self.sim = await asyncio.to_thread(self._start)

    def close(self) -> None:
        self._open.close()

    async def published(self) -> int:
        """Change events so far, over all topics."""
        state = await asyncio.to_thread(self.sim.do, "GET", "/state")
        return sum(int(state["published_events"][topic]) for topic in TOPICS)


class Editors:
    """Whoever works in the org: products come, change and go, prices and accounts change, often in one commit."""

    def __init__(self, org: Org, rng: random.Random) -> None:
        self._org = org
        self._rng = rng
        self._numbers = itertools.count(1)
        self.products: list[str] = []
        self.entries: list[str] = []
        self.accounts: list[str] = []
        self.made = 0

    async def work(self, until: int, pace: float, plan: Plan) -> None:
        """At least so many changes, about so many a second, and on until all deaths have been died."""
        self.entries, self.accounts = await self._ids("PricebookEntry"), await self._ids("Account")
        async with aiohttp.ClientSession(self._org.sim.control, timeout=aiohttp.ClientTimeout(5)) as session:
            while self.made < until or not plan.done:
                operations = [self._operation() for _ in range(self._rng.randint(1, 8))]
                if await self._commit(session, operations):
                    await asyncio.sleep(len(operations) / pace)

    async def _ids(self, name: str) -> list[str]:
        found = await asyncio.to_thread(self._org.sim.query, f"SELECT Id FROM {name} LIMIT 60")  # noqa: S608
        return [record["Id"] for record in found]

    async def _commit(self, session: aiohttp.ClientSession, operations: list[dict[str, Any]]) -> bool:
        """False where the org is away; whether it committed does not matter, for its own log is the measure."""
        try:
            async with session.post("/transaction", json={"operations": operations}) as answer:
                ids = (await answer.json())["ids"] if answer.status == 200 else []
        except _AWAY:
            await asyncio.sleep(0.2)
            return False
        self.made += len(set(ids))  # several operations on one record are one change of a commit
        self.products += [made for made, operation in zip(ids, operations, strict=False) if operation["op"] == "create"]
        return True

    def _operation(self) -> dict[str, Any]:
        number, draw = next(self._numbers), self._rng.random()
        if draw < 0.1 or len(self.products) < 20:
            fields = {"Name": f"P{number}", "StockKeepingUnit": f"C{number}", "IsActive": True}
            return {"op": "create", "object": "Product2", "fields": fields}
        if draw < 0.13:
            gone = self.products.pop(self._rng.randrange(len(self.products)))
            return {"op": "delete", "object": "Product2", "id": gone}
        if draw < 0.5:
            return self._update("Product2", self.products, {"Name": f"P{number}"})
        if draw < 0.8:
            return self._update("PricebookEntry", self.entries, {"UnitPrice": number})
        return self._update("Account", self.accounts, {"Eligibility_Source__c": f"survey {number}"})

    def _update(self, name: str, ids: list[str], fields: dict[str, Any]) -> dict[str, Any]:
        return {"op": "update", "object": name, "id": self._rng.choice(ids), "fields": fields}


Told = tuple[str, int, str, str]
"""Transaction key, sequence, object and record of one change."""


async def own_log(sim: Simulator) -> Counter[Told]:
    """Every change event that the org keeps, read and decoded by clients that share nothing with the ingestor."""
    found: Counter[Told] = Counter()
    published = sim.do("GET", "/state")["published_events"]
    async with pubsub(sim) as client:
        readers: dict[str, Any] = {}
        for topic in TOPICS:
            stream, left = client.subscribe(), int(published[topic])
            await stream.ask(topic, 100, replay_preset=EARLIEST)
            while left > 0:
                answer = await stream.answer()
                assert answer is not grpc.aio.EOF
                for item in answer.events:
                    if item.event.schema_id not in readers:
                        readers[item.event.schema_id] = avro.reader(await client.schema(item.event.schema_id))
                    found.update(_told(readers[item.event.schema_id](item.event.payload)))
                left -= len(answer.events)
                await stream.ask(topic, max(1, len(answer.events)))
            stream.call.cancel()
    return found


def _told(event: Mapping[str, Any]) -> Iterator[Told]:
    header = event["ChangeEventHeader"]
    for record_id in header["recordIds"]:
        yield header["transactionKey"], header["sequenceNumber"], header["entityName"], record_id
