"""Events a second into the shadow: changed rows, and events that were applied before."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from bench import worlds
from bench.projector import load
from bench.report import Metric
from bench.worlds import Worker
from sandbox.stack import postgres
from services.ops import schema
from services.ops import topics as ops_topics

_BATCH = 500
_WARM = 0.3
"""Share of the topic that is not timed: full snapshots come first, and a start is no rate."""
_PATIENCE_SECONDS = 300

Subject = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Worker]]


@dataclass(slots=True)
class Measured:
    changed: list[float] = field(default_factory=list)
    known: list[float] = field(default_factory=list)


async def measure(runs: int, updates: int) -> list[Metric]:
    """Interleaved, each subject on a new database and the same topic."""
    subjects: dict[str, Subject] = {"floor": _floor, "ours": _ours}
    measured = {name: Measured() for name in subjects}
    async with worlds.log() as settings, _cluster() as server:
        bootstrap = settings["UMBRA_KAFKA_BOOTSTRAP"]
        held = await load.fill(bootstrap, updates)
        for number in range(runs):
            for name, subject in subjects.items():
                async with _database(server, f"{name}_{number}", bootstrap) as dsn:
                    environment = {**settings, "UMBRA_POSTGRES_DSN": dsn}
                    measured[name].changed.append(await _timed(subject, environment, dsn, held))
                    await _rewind(dsn)
                    measured[name].known.append(await _timed(subject, environment, dsn, held))
    ours, floor = measured["ours"], measured["floor"]
    return [
        Metric(name="changed rows", unit="/s", better="higher", ours=ours.changed, floor=floor.changed, target=0.9),
        Metric(name="applied before", unit="/s", better="higher", ours=ours.known, floor=floor.known, target=0.8),
    ]


async def _timed(subject: Subject, environment: Mapping[str, str], dsn: str, held: int) -> float:
    """Rate between the warm-up and the end, by the offsets that the transactions leave."""
    connection = await asyncpg.connect(dsn)
    try:
        async with subject(environment), asyncio.timeout(_PATIENCE_SECONDS):
            begun, first = await _reaches(connection, int(_WARM * held))
            ended, last = await _reaches(connection, held)
        return (last - first) / (ended - begun)
    finally:
        await connection.close()


async def _reaches(connection: asyncpg.Connection, least: int) -> tuple[float, int]:
    while True:
        applied = await connection.fetchval("SELECT coalesce(sum(next_offset), 0) FROM projection_offset")
        if applied >= least:
            return time.monotonic(), int(applied)
        await asyncio.sleep(0.02)


async def _rewind(dsn: str) -> None:
    """The rows stay and the offsets go: everything in the log has been applied before."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("UPDATE projection_offset SET next_offset = 0, last_offset = NULL")
    finally:
        await connection.close()


@asynccontextmanager
async def _cluster() -> AsyncIterator[postgres.Database]:
    with tempfile.TemporaryDirectory(prefix="umbra-bench-") as state:
        async with postgres.running(Path(state)) as server:
            yield server


@asynccontextmanager
async def _database(server: postgres.Database, name: str, bootstrap: str) -> AsyncIterator[str]:
    dsn = await server.create(name)
    await schema.apply(dsn)
    await ops_topics.ensure(bootstrap, dsn)
    try:
        yield dsn
    finally:
        await server.drop(name)


def _ours(settings: Mapping[str, str]) -> AbstractAsyncContextManager[Worker]:
    group = f"bench-{time.monotonic_ns()}"
    own = {
        "UMBRA_PROJECTOR_OBJECTS": "Account",
        "UMBRA_PROJECTOR_GROUP": group,
        "UMBRA_PROJECTOR_BATCH_RECORDS": str(_BATCH),
    }
    return worlds.working("services.projector", {**settings, **own})


def _floor(settings: Mapping[str, str]) -> AbstractAsyncContextManager[Worker]:
    return worlds.working("bench.projector.floor", settings, str(_BATCH))
