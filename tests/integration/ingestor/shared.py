"""One org, one log and one ingestor for all tests of a module: each looks only at what it made itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from schemas.events import RecordChange
from tests.integration.ingestor import harness
from tests.integration.ingestor.harness import Ingestor, Log
from tests.support import salesforce_sim, stack
from tests.support.eventually import eventually
from tests.support.faults import Faults
from tests.support.salesforce_sim import Simulator

PRODUCTS = "/data/Product2ChangeEvent"


@dataclass(frozen=True, slots=True)
class Shared:
    log: Log
    sim: Simulator
    faults: Faults
    ingestor: Ingestor

    def products(self, *names: str) -> list[str]:
        return [str(self.sim.do("POST", "/records/Product2", {"Name": name})["Id"]) for name in names]

    async def in_log(self, *record_ids: str, within: float = 20.0) -> list[RecordChange]:
        """Every change of these products, once each of them is there."""

        async def found() -> list[RecordChange]:
            changes = [change for change in await self.log.changes("Product2") if change.record_id in record_ids]
            missing = set(record_ids) - {change.record_id for change in changes}
            assert not missing, f"{len(missing)} are missing"
            return changes

        changes = await eventually(found, within=within)
        assert isinstance(changes, list)
        return changes

    async def metric(self, name: str, **labels: str) -> float:
        return await self.ingestor.metric(name, **labels)

    async def reaches(self, name: str, value: float, **labels: str) -> None:
        async def enough() -> bool:
            return await self.metric(name, **labels) >= value

        await eventually(enough, within=20)

    def state(self, what: str) -> Any:
        return self.sim.do("GET", "/state")[what]


class Addresses(NamedTuple):
    """Of the servers that the tests of a module share."""

    kafka: str
    dsn: str
    valkey: str


@asynccontextmanager
async def world(addresses: Addresses, tmp: Path, **more: str) -> AsyncIterator[Shared]:
    bootstrap, dsn, valkey_url = addresses
    await stack.fresh_topics(bootstrap, dsn)
    async with AsyncExitStack() as open_:
        state = open_.enter_context(stack.scratch("org"))
        sim = open_.enter_context(salesforce_sim.running(state / "org"))
        environ = {**harness.environment(sim, bootstrap, valkey_url), **more}
        ingestor = await open_.enter_async_context(harness.ingesting(environ, tmp / "ingestor.log"))
        await ingestor.ready()
        yield Shared(Log(bootstrap), sim, Faults(sim.control), ingestor)
