"""One simulated org for all tests here, empty topics for each."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from schemas import mapping
from services.ingestor.jobs.means import Means
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings
from services.salesforce import door
from tests.integration.ingestor import harness
from tests.integration.ingestor.harness import Ingestor, Log
from tests.integration.ingestor.shared import Addresses
from tests.support import salesforce_sim, stack
from tests.support.salesforce_sim import Simulator

MARGIN_MS = 200


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with stack.scratch("org") as state, salesforce_sim.running(state / "org") as running:
        yield running


@pytest.fixture(scope="module")
def addresses(servers: stack.Servers, module_postgres_dsn: str) -> Addresses:
    return Addresses(servers.kafka().bootstrap, module_postgres_dsn, servers.valkey().url)


@pytest.fixture
async def log(kafka_bootstrap: str, postgres_dsn: str) -> Log:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    return Log(kafka_bootstrap)


@pytest.fixture
def environ(sim: Simulator, kafka_bootstrap: str, valkey_url: str) -> dict[str, str]:
    return harness.environment(sim, kafka_bootstrap, valkey_url)


@pytest.fixture
async def means(
    log: Log, sim: Simulator, kafka_bootstrap: str, postgres_dsn: str, valkey_url: str
) -> AsyncIterator[Means]:
    """What jobs work with, in this process, and a small margin: the simulator shows at once what was committed."""
    cache: Redis = Redis.from_url(valkey_url)
    async with door.opened(salesforce_sim.door_settings(sim), cache, CollectorRegistry()) as opened:
        yield Means(
            kafka=KafkaSettings(kafka_bootstrap=kafka_bootstrap),
            rest=opened.rest,
            bulk=opened.bulk,
            dsn=postgres_dsn,
            statuses=mapping.load().order_status,
            margin_ms=MARGIN_MS,
            job_seconds=30.0,
            clock=SYSTEM,
        )
    await cache.aclose()


@pytest.fixture
async def ingestor(log: Log, environ: dict[str, str], tmp_path: Path) -> AsyncIterator[Ingestor]:
    """A running ingestor that is ready."""
    async with contextlib.AsyncExitStack() as open_:
        running = await open_.enter_async_context(harness.ingesting(environ, tmp_path / "ingestor.log"))
        await running.ready()
        yield running
