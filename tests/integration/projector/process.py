"""A projector as a process of its own, against real servers, and a writer of its topics."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from sandbox.stack import postgres
from schemas import events, topics
from schemas.events import Event
from services.kernel.kafka import partition_of
from tests.integration.projector.harness import NOW, topic_of
from tests.support import stack
from tests.support.eventually import eventually

ROOT = Path(__file__).parents[3]


@dataclass(slots=True)
class Stage:
    """Addresses of the servers that a projector works with, and a connection to look at its rows."""

    kafka: str
    dsn: str
    valkey: str
    connection: asyncpg.Connection
    tmp: Path
    started: list[Process] = field(default_factory=list)
    # A group of its own: members that an earlier test killed are waited for.
    group: str = field(default_factory=lambda: f"projector-{secrets.token_hex(4)}")

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "UMBRA_KAFKA_BOOTSTRAP": self.kafka,
            "UMBRA_POSTGRES_DSN": stack.as_role(self.dsn, postgres.PROJECTOR),
            "UMBRA_VALKEY_URL": self.valkey,
            "UMBRA_ADMIN_PORT": "0",
            "UMBRA_LOG_FORMAT": "json",
            "UMBRA_PROJECTOR_SESSION_SECONDS": "6",
            "UMBRA_PROJECTOR_GROUP": self.group,
            **more,
        }

    async def start(self, *, module: str = "services.projector", **more: str) -> Process:
        """Start a worker. More of them share the group."""
        log = self.tmp / f"projector-{len(self.started)}.log"
        with log.open("wb") as file:
            running = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                cwd=ROOT,
                env=self.environment(**more),
                stdout=file,
                stderr=file,
            )
        process = Process(running, log)
        self.started.append(process)
        return process

    async def reconnect(self) -> None:
        """After the server was restarted."""
        self.connection.terminate()
        self.connection = await asyncpg.connect(self.dsn)

    async def value(self, query: str, *arguments: object) -> Any:
        return await self.connection.fetchval(query, *arguments)


@dataclass(slots=True)
class Process:
    running: asyncio.subprocess.Process
    log: Path

    def kill(self) -> None:
        self.running.kill()

    def terminate(self) -> None:
        self.running.send_signal(signal.SIGTERM)

    async def ended(self, within: float = 30) -> int:
        try:
            async with asyncio.timeout(within):
                return await self.running.wait()
        except TimeoutError:
            raise AssertionError(f"still running after {within} s:\n{self.text()[-4000:]}") from None

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def said(self, action: str) -> list[dict[str, Any]]:
        """Log lines of one action."""
        lines = [line for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in map(json.loads, lines) if line.get("action") == action]

    def admin(self) -> str:
        return f"http://127.0.0.1:{self.said('admin')[0]['port']}"

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin()}{path}") as answer:
            return answer.status, await answer.text()


async def at_rest(stage: Stage, names: Sequence[str]) -> bool:
    """Postgres's offset, Kafka's commit and the end of the log are one, in every partition that holds anything."""
    stored = {
        TopicPartition(row[0], row[1]): row[2]
        for row in await stage.connection.fetch("SELECT topic, partition, next_offset FROM projection_offset")
    }
    ends = await log_ends(stage.kafka, names)
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.kafka)
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(stage.group)
    finally:
        await admin.close()
    for partition, end in ends.items():
        told = committed[partition].offset if partition in committed else None
        assert (stored.get(partition), told) == (end, end) or end == 0, (
            f"{partition}: {stored.get(partition)}, {told}, {end}"
        )
    return True


async def log_ends(kafka: str, names: Sequence[str]) -> dict[TopicPartition, int]:
    reader = AIOKafkaConsumer(bootstrap_servers=kafka)
    await reader.start()
    try:
        wanted = [TopicPartition(name, p) for name in names for p in range(topics.BY_NAME[name].partitions)]
        ends: dict[TopicPartition, int] = await reader.end_offsets(wanted)
        return ends
    finally:
        await reader.stop()


@asynccontextmanager
async def staged(kafka: str, dsn: str, valkey: str, tmp: Path) -> AsyncIterator[Stage]:
    connection = await asyncpg.connect(dsn)
    stage = Stage(kafka, dsn, valkey, connection, tmp)
    try:
        yield stage
    finally:
        for process in stage.started:
            if process.running.returncode is None:
                process.kill()
                await process.running.wait()
        stage.connection.terminate()


class Writer:
    """Writes events into their topics, in transactions."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer

    async def write(self, *said: Event, abort: bool = False) -> None:
        """One transaction, committed or aborted."""
        await self.producer.begin_transaction()
        for event in said:
            await self.send(event)
        await self.producer.flush()
        if abort:
            await self.producer.abort_transaction()
        else:
            await self.producer.commit_transaction()

    async def send(self, event: Event) -> None:
        topic = topic_of(event)
        message = events.encode(event, source="/test", now=NOW)
        if message.key is None:
            for partition in range(topic.partitions):
                await self.producer.send(topic.name, message.value, partition=partition)
            return
        partition = partition_of(message.key.decode(), topic.partitions)
        await self.producer.send(topic.name, message.value, key=message.key, partition=partition)


@asynccontextmanager
async def writer(kafka: str, name: str = "test-writer") -> AsyncIterator[Writer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, transactional_id=name, acks="all", transaction_timeout_ms=10_000
    )
    await producer.start()
    try:
        yield Writer(producer)
    finally:
        await producer.stop()


async def eventually_row(stage: Stage, query: str, expected: object, *arguments: object, within: float = 20) -> None:
    async def matches() -> bool:
        found = await stage.value(query, *arguments)
        assert found == expected, f"{query}: {found!r} is not {expected!r}"
        return True

    await eventually(matches, within=within)
