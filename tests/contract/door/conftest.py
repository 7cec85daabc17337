"""One simulator for the door's tests, and the door to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.salesforce import door
from services.salesforce.door import Door
from tests.support.salesforce_sim import Simulator, door_settings, running


@pytest.fixture(scope="session")
def salesforce_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Shared: a test that turns it off turns it on again."""
    with running(tmp_path_factory.mktemp("door") / "org", "--bulk-delay", "0.05", "--products", "300") as sim:
        yield sim


@pytest.fixture
async def valkey(valkey_url: str) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(valkey_url, socket_timeout=0.5, socket_connect_timeout=0.5)
    yield client
    await client.aclose()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def opened(salesforce_sim: Simulator, valkey: Redis, registry: CollectorRegistry) -> AsyncIterator[Door]:
    async with door.opened(door_settings(salesforce_sim), valkey, registry) as made:
        yield made
