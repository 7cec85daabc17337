"""A notifier's world: real topics, a real database, tokens, notifier processes, and an SSE client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import jwt
from aiokafka import AIOKafkaProducer

from sandbox.stack import postgres as stack_postgres
from schemas import events, ids, topics
from schemas.events import OrderStatus
from schemas.versions import Source, millis, status_version
from services.kernel import kafka as kernel_kafka
from tests.support import stack
from tests.support.eventually import eventually

SECRET = "development-secret-of-32-bytes-or-more"
ACCOUNT = ids.parse("001000000000001")
OTHER = ids.parse("001000000000002")
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TERMINAL = frozenset({"Completed", "Failed", "Cancelled"})
_ORDERS = count(secrets.randbelow(10**8) * 100)


def new_order() -> str:
    return ids.parse(f"801{next(_ORDERS):012d}")


def status_of(
    order_id: str,
    second: float,
    status: str,
    *,
    account_id: str | None = ACCOUNT,
    reason: str | None = None,
    source: Source = "salesforce",
) -> OrderStatus:
    at = START + timedelta(seconds=second)
    event_id = secrets.token_hex(8)
    return OrderStatus(
        id=event_id,
        order_id=order_id,
        account_id=account_id,
        status=status,
        reason=reason,
        terminal=status in TERMINAL,
        occurred_at=at,
        source=source,
        version=status_version(millis(at), source, 0, 0, status in TERMINAL, event_id),
    )


def token(account_id: str | None = ACCOUNT, lasts: float = 600.0) -> str:
    claims = {
        "sub": "person",
        "account_id": account_id,
        "iss": "tests",
        "aud": "umbra",
        "exp": datetime.now(UTC) + timedelta(seconds=lasts),
    }
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, SECRET, "HS256")


@dataclass
class Frame:
    event: str
    data: Any
    id: str | None
    retry: int | None


@dataclass
class Client:
    """An SSE client by the standard: collects frames, keeps the last id."""

    frames: list[Frame] = field(default_factory=list)
    status: int | None = None
    last_id: str | None = None
    ended: bool = False
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, event: str) -> list[Any]:
        return [frame.data for frame in self.frames if frame.event == event]

    @property
    def statuses(self) -> list[str]:
        return [data["status"] for data in self.of("order.update")]

    @property
    def resume(self) -> str | None:
        told = self.of("stream")
        return told[0]["resume"] if told else None

    def feed(self, block: str) -> None:
        fields: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(": ")
            fields.setdefault(name, []).append(value)
        self.last_id = fields["id"][0] if "id" in fields else self.last_id
        retry = int(fields["retry"][0]) if "retry" in fields else None
        data = json.loads("\n".join(fields["data"]))
        self.frames.append(Frame(fields["event"][0], data, fields.get("id", [None])[0], retry))

    async def until(self, condition: Callable[[Client], Any], within: float = 10.0) -> None:
        await eventually(lambda: condition(self), within=within)


@dataclass
class Instance:
    """A notifier process."""

    name: str
    process: asyncio.subprocess.Process
    url: str
    admin: str
    log: Path


@dataclass
class World:
    bootstrap: str
    dsn: str
    valkey: str
    state: Path
    session: aiohttp.ClientSession
    producer: AIOKafkaProducer
    cursor_key: str = "k" * 40
    instances: list[Instance] = field(default_factory=list)

    async def publish(self, *statuses: OrderStatus) -> None:
        for status in statuses:
            message = events.encode(status, source="/tests", now=datetime.now(UTC))
            await self.producer.send_and_wait(
                topics.ORDER_STATUS.name, message.value, key=message.key, headers=message.headers
            )

    async def database(self, sql: str, *arguments: object) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(sql, *arguments)
        finally:
            await connection.close()

    async def row(self, status: OrderStatus, account_id: str | None = ACCOUNT) -> None:
        """The rows that the projector keeps of an order whose newest status is this."""
        await self.database(
            "INSERT INTO sf_order_status (order_id, version, status, reason, message, terminal, source, account_id,"
            " event_id, occurred_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            *(status.order_id, status.version, status.status, status.reason, status.message, status.terminal),
            *(status.source, account_id, status.id, status.occurred_at),
        )
        await self.database(
            "INSERT INTO sf_order_shadow (order_id, account_id, status, status_reason, status_version, updated_at,"
            " raw_payload) VALUES ($1, $2, $3, $4, $5, $6, '{}')",
            *(status.order_id, account_id, status.status, status.reason, status.version, status.occurred_at),
        )

    async def applied(self, order_id: str, next_offset: int) -> None:
        """The projector's position in the order's partition."""
        await self.database(
            "INSERT INTO projection_offset (topic, partition, epoch, next_offset) SELECT topic, $2, epoch, $3"
            " FROM topic_epoch WHERE topic = $1 ON CONFLICT (topic, partition) DO UPDATE SET next_offset = $3",
            *(topics.ORDER_STATUS.name, partition(order_id), next_offset),
        )

    async def start(self, name: str, **changed: str) -> Instance:
        """Start a notifier and wait until it is ready."""
        instance = await self.launch(name, **changed)
        await eventually(lambda: self.is_ready(instance), within=20)
        return instance

    async def launch(self, name: str, **changed: str) -> Instance:
        log = self.state / f"{name}-{len(self.instances)}.log"
        environ = {**os.environ, **self._environ(name), **changed, "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.notifier", stderr=output, stdout=output, env=environ
            )
        line = await eventually(lambda: _listening(process, log), within=20)
        instance = Instance(
            name, process, f"http://127.0.0.1:{line['port']}", f"http://127.0.0.1:{line['admin_port']}", log
        )
        self.instances.append(instance)
        return instance

    def _environ(self, name: str) -> dict[str, str]:
        return {
            "UMBRA_KAFKA_BOOTSTRAP": self.bootstrap,
            "UMBRA_POSTGRES_DSN": stack.as_role(self.dsn, stack_postgres.READER),
            "UMBRA_VALKEY_URL": self.valkey,
            "UMBRA_JWKS_URL": "http://127.0.0.1:9/jwks",
            "UMBRA_JWT_ISSUER": "tests",
            "UMBRA_JWT_AUDIENCE": "umbra",
            "UMBRA_JWT_DEVELOPMENT_SECRET": SECRET,
            "UMBRA_CURSOR_KEYS": self.cursor_key,
            "UMBRA_PORT": "0",
            "UMBRA_ADMIN_PORT": "0",
            "UMBRA_INSTANCE": name,
            "UMBRA_LOG_FORMAT": "json",
            "UMBRA_HEARTBEAT_SECONDS": "0.5",
            "UMBRA_RECONNECT_SECONDS": "0.5",
            "UMBRA_DRAIN_SECONDS": "1",
        }

    async def is_ready(self, instance: Instance) -> bool:
        assert instance.process.returncode is None, instance.log.read_text()[-4000:]
        async with self.session.get(f"{instance.admin}/health/ready") as answer:
            return answer.status == 200

    async def metric(self, instance: Instance, name: str) -> float:
        """Sum of a metric's samples whose line starts with `name`."""
        async with self.session.get(f"{instance.admin}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    @contextlib.asynccontextmanager
    async def stream(
        self,
        instance: Instance,
        path: str,
        *,
        bearer: str | None = None,
        cursor: str | None = None,
        query: str = "",
        read: bool = True,
    ) -> AsyncIterator[Client]:
        """A client that reads in the background until the block ends."""
        headers = {} if bearer == "" else {"Authorization": f"Bearer {bearer or token()}"}
        if cursor is not None:
            headers["Last-Event-ID"] = cursor
        client = Client(last_id=cursor)
        async with self.session.get(f"{instance.url}{path}{query}", headers=headers) as answer:
            client.status = answer.status
            task = asyncio.create_task(_collect(answer, client) if read else asyncio.sleep(0))
            try:
                yield client
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def _collect(answer: aiohttp.ClientResponse, client: Client) -> None:
    waiting = b""
    with contextlib.suppress(aiohttp.ClientError):
        async for part in answer.content.iter_any():
            waiting += part
            *blocks, waiting = waiting.split(b"\n\n")
            for block in blocks:
                client.feed(block.decode())
    client.ended = True


def _listening(process: asyncio.subprocess.Process, log: Path) -> Any:
    text = log.read_text()
    assert process.returncode is None, text[-4000:]
    lines = [json.loads(line) for line in text.splitlines() if '"listening"' in line]
    return lines[0] if lines else None


def partition(order_id: str) -> int:
    return kernel_kafka.partition_of(order_id, topics.ORDER_STATUS.partitions)


def path(order_id: str) -> str:
    return f"/orders/{order_id}/events"


@contextlib.asynccontextmanager
async def world(bootstrap: str, dsn: str, valkey: str, state: Path) -> AsyncIterator[World]:
    await stack.fresh_topics(bootstrap, dsn)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        await producer.start()
        made = World(bootstrap, dsn, valkey, state, session, producer)
        try:
            yield made
        finally:
            await producer.stop()
            await asyncio.gather(*(_end(instance.process) for instance in made.instances))


@contextlib.asynccontextmanager
async def transaction(
    world: World,
) -> AsyncIterator[tuple[Callable[[OrderStatus], Awaitable[None]], Callable[[], Awaitable[None]]]]:
    """An open transaction on the status topic, and how to end it."""
    producer = AIOKafkaProducer(
        bootstrap_servers=world.bootstrap, transactional_id=f"tests-{secrets.token_hex(4)}", acks="all"
    )
    await producer.start()
    await producer.begin_transaction()

    async def publish(status: OrderStatus) -> None:
        message = events.encode(status, source="/tests", now=datetime.now(UTC))
        await producer.send_and_wait(topics.ORDER_STATUS.name, message.value, key=message.key)

    try:
        yield publish, producer.commit_transaction
    finally:
        await producer.stop()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
