"""One simulated org for all tests here, empty topics for each."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.ingestor import harness
from tests.integration.ingestor.harness import Ingestor, Log
from tests.support import salesforce_sim, stack
from tests.support.salesforce_sim import Simulator


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with stack.scratch("org") as state, salesforce_sim.running(state / "org") as running:
        yield running


@pytest.fixture
async def log(kafka_bootstrap: str, postgres_dsn: str) -> Log:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    return Log(kafka_bootstrap)


@pytest.fixture
def environ(sim: Simulator, kafka_bootstrap: str, valkey_url: str) -> dict[str, str]:
    return harness.environment(sim, kafka_bootstrap, valkey_url)


@pytest.fixture
async def ingestor(log: Log, environ: dict[str, str], tmp_path: Path) -> AsyncIterator[Ingestor]:
    """A running ingestor that is ready."""
    async with contextlib.AsyncExitStack() as open_:
        running = await open_.enter_async_context(harness.ingesting(environ, tmp_path / "ingestor.log"))
        await running.ready()
        yield running
