"""One org for the whole folder, left as it was found but for what tests add; rows, cache and gateways for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from sandbox.stack import postgres
from tests.contract.salesforce_sim.simulator import Simulator, running
from tests.integration.gateway import world as worlds
from tests.integration.gateway.log_reader import ensure_topics
from tests.integration.gateway.world import World
from tests.support import stack


@pytest.fixture(scope="package")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(tmp_path_factory.mktemp("gateway-org") / "org") as simulator:
        yield simulator


@pytest.fixture
async def world(sim: Simulator, postgres_dsn: str, valkey_url: str, kafka_bootstrap: str) -> AsyncIterator[World]:
    """The gateways read with the role that may only read."""
    sim.do("POST", "/switch", {"salesforce": "on"})
    await ensure_topics(kafka_bootstrap)
    reader = stack.as_role(postgres_dsn, postgres.READER)
    async with worlds.opened(sim, reader, postgres_dsn, valkey_url, kafka_bootstrap) as opened:
        yield opened
