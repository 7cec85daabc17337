"""Real servers for tests: one of each per test session, started when first asked for."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import socket
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sandbox.stack import kafka, postgres, valkey
from schemas import topics
from services.ops import schema
from services.ops import topics as ops_topics
from tests.support.eventually import eventually

T = TypeVar("T")

TEMPLATE = "umbra_template"


@contextlib.contextmanager
def scratch(area: str) -> Iterator[Path]:
    """A short-named directory for state, gone at the end."""
    path = Path(tempfile.mkdtemp(prefix=f"umbra-{area}-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Servers:
    """Starts each server once and stops it at the end; works from outside any event loop."""

    def __init__(self, state: Path) -> None:
        self._state = state
        # Its own loop, never made current: the tests' loops come and go.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._open = contextlib.AsyncExitStack()
        self._kafka: kafka.Broker | None = None
        self._postgres: postgres.Database | None = None
        self._valkey: valkey.Cache | None = None

    def kafka(self) -> kafka.Broker:
        if self._kafka is None:
            self._kafka = self.run(self._open.enter_async_context(kafka.running(self._state)))
        return self._kafka

    def postgres(self) -> postgres.Database:
        """With a migrated database to copy for each test."""
        if self._postgres is None:
            self._postgres = self.run(self._open.enter_async_context(postgres.running(self._state)))
            self.run(schema.apply(self.run(self._postgres.create(TEMPLATE))))
        return self._postgres

    def valkey(self) -> valkey.Cache:
        if self._valkey is None:
            self._valkey = self.run(self._open.enter_async_context(valkey.running(self._state)))
        return self._valkey

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        self.run(self._open.aclose())
        self._runner.close()


@contextlib.contextmanager
def new_database(servers: Servers) -> Iterator[str]:
    """A fresh migrated database; its address for the owner."""
    server = servers.postgres()
    name = f"test_{secrets.token_hex(4)}"
    yield servers.run(server.create(name, template=TEMPLATE))
    servers.run(server.drop(name))


def as_role(dsn: str, role: str) -> str:
    """The same database for another role: postgres.PROJECTOR or postgres.READER."""
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.hostname}:{parts.port}"))


def flush(server: valkey.Cache) -> None:
    with socket.create_connection(("127.0.0.1", server.program.port), timeout=5) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(64) == b"+OK\r\n"


async def fresh_topics(bootstrap: str, dsn: str) -> None:
    """Every topic of the project, empty, each with a new epoch in the database."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        names = {topic.name for topic in topics.ALL}
        present = names & set(await admin.list_topics())
        if present:
            await admin.delete_topics(sorted(present))

        async def gone() -> bool:
            return not names & set(await admin.list_topics())

        await eventually(gone, within=20)
    finally:
        await admin.close()
    await ops_topics.ensure(bootstrap, dsn)


async def new_topic(bootstrap: str, name: str, partitions: int = 1) -> None:
    """A plain topic of a test's own."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()
