"""What every test may ask for: real servers, and an environment without this project's own settings."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support import stack, umbra

# A setting of the person who runs the tests must not decide what they see.
for _name in [name for name in os.environ if name.startswith(("UMBRA_", "ENABLE_SF_"))]:
    del os.environ[_name]


@pytest.fixture(scope="session")
def servers() -> Iterator[stack.Servers]:
    with stack.scratch("tests") as state:
        running = stack.Servers(state)
        yield running
        running.close()


@pytest.fixture
def kafka_bootstrap(servers: stack.Servers) -> str:
    """Address of the session's broker. Topics are shared: use names of your own, or `stack.fresh_topics`."""
    return servers.kafka().bootstrap


@pytest.fixture
def postgres_dsn(servers: stack.Servers) -> Iterator[str]:
    """A fresh migrated database for this test, as its owner; `stack.as_role` gives it as another role."""
    with stack.new_database(servers) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def module_postgres_dsn(servers: stack.Servers) -> Iterator[str]:
    """A fresh migrated database shared by the tests of one module."""
    with stack.new_database(servers) as dsn:
        yield dsn


@pytest.fixture
def valkey_url(servers: stack.Servers) -> str:
    """Address of the session's Valkey, emptied."""
    server = servers.valkey()
    stack.flush(server)
    return server.url


@pytest.fixture(scope="session")
def local_stack() -> Iterator[umbra.Umbra]:
    """The whole stack, every process of it, once per session; for tests that follow a change through all of it."""
    with stack.scratch("stack") as state, umbra.running(state / "state") as running:
        yield running
