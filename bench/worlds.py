"""What the benchmarks run against: an org, a broker and a cache, each a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka.admin import NewTopic

from sandbox.stack import kafka, valkey
from sandbox.stack.ports import FREE
from schemas import topics
from services.kernel import kafka as clients
from services.kernel.settings import KafkaSettings

ROOT = Path(__file__).parents[1]
_STOP_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Org:
    """A running simulator, by what it printed."""

    said: Mapping[str, Any]
    http: aiohttp.ClientSession

    async def do(self, path: str, body: object) -> Any:
        async with self.http.post(self.said["control"] + path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def records(self, object_name: str) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.said['control']}/records/{object_name}") as answer:
            found: list[dict[str, Any]] = (await answer.json())["records"]
            return found

    @property
    def environment(self) -> dict[str, str]:
        return {
            "UMBRA_SALESFORCE_LOGIN_URL": self.said["http"],
            "UMBRA_SALESFORCE_CLIENT_ID": self.said["client_id"],
            "UMBRA_SALESFORCE_CLIENT_SECRET": self.said["client_secret"],
            "UMBRA_SALESFORCE_PUBSUB": self.said["grpc"],
            "UMBRA_SALESFORCE_PUBSUB_PLAINTEXT": "true",
        }


@dataclass(frozen=True, slots=True)
class Worker:
    """A process under measurement."""

    process: asyncio.subprocess.Process
    admin: str

    @property
    def peak_mib(self) -> float:
        """The most memory that it has had so far (Linux)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        (kib,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
        return int(kib) / 1024


@asynccontextmanager
async def org(*options: str) -> AsyncIterator[Org]:
    """A simulator on free ports, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="umbra-bench-") as state:
        command = ("-m", "sandbox.salesforce", "--state-dir", state, *options)
        async with _process(command, {}, stdout=asyncio.subprocess.PIPE) as process, aiohttp.ClientSession() as http:
            assert process.stdout is not None
            yield Org(json.loads(await process.stdout.readline()), http)


@asynccontextmanager
async def log() -> AsyncIterator[dict[str, str]]:
    """An empty log with every topic, and a cache: the settings that name them."""
    with tempfile.TemporaryDirectory(prefix="umbra-bench-") as state:
        async with kafka.running(Path(state)) as broker, valkey.running(Path(state)) as cache:
            await _create_topics(broker.bootstrap)
            yield {"UMBRA_KAFKA_BOOTSTRAP": broker.bootstrap, "UMBRA_VALKEY_URL": cache.url}


async def _create_topics(bootstrap: str) -> None:
    async with clients.admin(KafkaSettings(kafka_bootstrap=bootstrap)) as admin:
        await admin.create_topics([NewTopic(of.name, of.partitions, 1, topic_configs=of.config) for of in topics.ALL])


@asynccontextmanager
async def working(module: str, environment: Mapping[str, str], *words: str) -> AsyncIterator[Worker]:
    """A module of ours as a process, gone at the end."""
    port = FREE.take()
    settings = {**environment, "UMBRA_ADMIN_PORT": str(port), "UMBRA_LOG_LEVEL": "WARNING"}
    async with _process(("-m", module, *words), settings) as process:
        yield Worker(process, f"http://127.0.0.1:{port}")


@asynccontextmanager
async def _process(
    command: tuple[str, ...], settings: Mapping[str, str], stdout: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    process = await asyncio.create_subprocess_exec(sys.executable, *command, env=environment, stdout=stdout)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
