"""The ingestor as processes of its own, and the log as a reader of committed records sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiokafka.structs import TopicPartition

from sandbox.stack.ports import FREE
from schemas import events, topics
from schemas.events import Checkpoint, DeadLetter, OrderStatus, RecordChange, Watermark
from services.kernel import kafka
from services.kernel.settings import KafkaSettings
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

ROOT = Path(__file__).parents[3]


@dataclass(slots=True)
class Ingestor:
    """One running ingestor."""

    process: asyncio.subprocess.Process
    admin: str
    log: Path

    async def ready(self, within: float = 20.0) -> None:
        await eventually(self.is_ready, within=within)

    async def is_ready(self) -> bool:
        assert self.process.returncode is None, self.log.read_text()
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/health/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples that have these labels."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        samples = [
            line for line in lines if line.startswith((name + "{", name + " ")) and all(w in line for w in wanted)
        ]
        return sum(float(line.rpartition(" ")[2]) for line in samples)

    async def kill(self) -> None:
        """As the machine would: no goodbye."""
        os.kill(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self, within: float = 15.0) -> int:
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(within):
            return await self.process.wait()


def environment(sim: Simulator, bootstrap: str, valkey_url: str) -> dict[str, str]:
    return {
        "UMBRA_KAFKA_BOOTSTRAP": bootstrap,
        "UMBRA_VALKEY_URL": valkey_url,
        "UMBRA_STREAM_ENABLED": "true",
        "UMBRA_SALESFORCE_LOGIN_URL": sim.http,
        "UMBRA_SALESFORCE_CLIENT_ID": sim.client_id,
        "UMBRA_SALESFORCE_CLIENT_SECRET": sim.client_secret,
        "UMBRA_SALESFORCE_PUBSUB": sim.grpc,
        "UMBRA_SALESFORCE_PUBSUB_PLAINTEXT": "true",
    }


@asynccontextmanager
async def ingesting(environ: Mapping[str, str], log: Path) -> AsyncIterator[Ingestor]:
    """An ingestor, started and not waited for; gone at the end, whatever became of it."""
    port = FREE.take()
    env = {**os.environ, **environ, "UMBRA_ADMIN_PORT": str(port), "PYTHONPATH": str(ROOT)}
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.ingestor", env=env, stdout=out, stderr=out
        )
    ingestor = Ingestor(process, f"http://127.0.0.1:{port}", log)
    try:
        yield ingestor
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@dataclass(frozen=True, slots=True)
class Log:
    """The committed records of all topics, in the order of their partitions."""

    bootstrap: str

    async def values(self, topic: topics.Topic) -> list[bytes]:
        """Every committed value of a topic up to now."""
        places = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
        consumer = kafka.consumer(KafkaSettings(kafka_bootstrap=self.bootstrap), fetch_max_wait_ms=20)
        await consumer.start()
        try:
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found: list[bytes] = []
            for place in places:
                await consumer.seek_to_beginning(place)
                while await consumer.position(place) < ends[place]:
                    got = await consumer.getmany(place, timeout_ms=50)
                    found += [record.value for record in got.get(place, [])]
                consumer.pause(place)
            return found
        finally:
            await consumer.stop()

    async def of(self, object_name: str) -> tuple[list[RecordChange], list[Watermark]]:
        found = [events.decode_change(value) for value in await self.values(topics.RECORD_TOPICS[object_name])]
        changes = [event for event in found if isinstance(event, RecordChange)]
        return changes, [event for event in found if isinstance(event, Watermark)]

    async def changes(self, object_name: str) -> list[RecordChange]:
        return (await self.of(object_name))[0]

    async def watermarks(self, object_name: str) -> list[Watermark]:
        return (await self.of(object_name))[1]

    async def statuses(self) -> list[OrderStatus]:
        return [events.decode_status(value) for value in await self.values(topics.ORDER_STATUS)]

    async def checkpoints(self, name: str) -> list[Checkpoint]:
        found = [events.decode_checkpoint(value) for value in await self.values(topics.CHECKPOINT)]
        return [checkpoint for checkpoint in found if checkpoint.name == name]

    async def dead_letters(self) -> list[DeadLetter]:
        return [events.decode_dead_letter(value) for value in await self.values(topics.DEAD_LETTER)]


def unwatched(name: str, rows: int, total: int) -> None:
    """Nobody looks on."""


def duplicates(changes: Sequence[RecordChange]) -> list[tuple[object, ...]]:
    """Deliveries that are in the log more than once."""
    seen: set[tuple[object, ...]] = set()
    again: list[tuple[object, ...]] = []
    for change in changes:
        key = (change.transaction_key, change.sequence, change.object, change.record_id, change.kind)
        if key in seen:
            again.append(key)
        seen.add(key)
    return again
