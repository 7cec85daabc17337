"""Trains the class cache of `aot`: one broker does one of everything, and its JVM writes down what it loaded.

Run as `python -m sandbox.stack.training [CACHE]`; takes about ten seconds, does nothing where it is done.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sandbox.stack import aot, cache, environment, jars, kafka
from sandbox.stack.child import spawn
from sandbox.stack.ports import FREE
from sandbox.stack.program import Program, at_once
from sandbox.stack.server import Server
from sandbox.stack.settings import StackSettings

# At its end the JVM lays out the whole cache, at low priority beside whatever else runs.
_WRITING_SECONDS = 120.0


async def train(cached: Path) -> Path:
    """The cache's path; made now where it was missing. One process trains, others wait for it."""
    class_path = await asyncio.to_thread(jars.classpath, cached)
    wanted = aot.file(cached, class_path)
    with (cached / "aot.lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not await asyncio.to_thread(wanted.exists):
            await _make(cached, wanted)
    return wanted


async def _make(cached: Path, wanted: Path) -> None:
    # Under a fixed name: what a training that was killed has left is cleared by the next one.
    scratch = cached / "aot-training"
    shutil.rmtree(scratch, ignore_errors=True)
    draft = cached / f"{wanted.name}.new"
    flags = (f"-XX:AOTCacheOutput={draft}", *aot.SILENT)
    broker = Server(await kafka.prepare(scratch, FREE.take(), cached, jvm_flags=flags))
    await broker.start()
    try:
        await _exercise(broker.program.address)
    finally:
        await broker.stop(within=_WRITING_SECONDS)
    draft.replace(wanted)
    shutil.rmtree(scratch)


async def _exercise(bootstrap: str) -> None:
    """One of everything: topics, a transaction, a group."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(f"topic-{number}", 4, 1) for number in range(8)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="training")
    async with producer, producer.transaction():
        await producer.send("topic-0", b"value", b"key")
    consumer = AIOKafkaConsumer(
        "topic-0",
        bootstrap_servers=bootstrap,
        group_id="training",
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    async with consumer:
        await consumer.getone()
        await consumer.commit()


@asynccontextmanager
async def beside(settings: StackSettings) -> AsyncIterator[None]:
    """Train, where it was never done, in a process of its own while the caller goes on; ended with the caller."""
    class_path = await asyncio.to_thread(jars.classpath, settings.cache)
    if await asyncio.to_thread(aot.file(settings.cache, class_path).exists):
        yield
        return
    child = await spawn(_program(settings))
    try:
        yield
    finally:
        await child.kill()


def _program(settings: StackSettings) -> Program:
    return Program(
        name="training",
        argv=(sys.executable, "-m", "sandbox.stack.training", str(settings.cache)),
        log=settings.state / "logs" / "training.log",
        address="",
        port=0,
        ready=at_once,
        env=environment.base(os.environ),
    )


def main() -> int:
    os.nice(15)
    chosen = Path(sys.argv[1]) if sys.argv[1:] else cache.directory(os.environ, Path.cwd() / ".umbra" / "cache")
    made = asyncio.run(train(chosen))
    sys.stdout.write(f"{made}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
