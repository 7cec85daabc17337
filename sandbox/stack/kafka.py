"""Apache Kafka, one KRaft node on 127.0.0.1, from Maven jars and the JRE in a wheel.

Settings are for one small broker: ready in a second or two, about 160 MB.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from sandbox.stack import aot, cache, jars, wheels
from sandbox.stack.child import NotReady
from sandbox.stack.ports import FREE, HOST
from sandbox.stack.program import Program, accepts
from sandbox.stack.server import Server

JVM_FLAGS = (
    "-Xmx256m",
    "-Xms64m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "--enable-native-access=ALL-UNNAMED",
)

# By default the cleaner's buffer alone is 128 MB, and each internal topic has fifty partitions. A broker that was
# killed is let in again when its old session has run out: 9 s by default.
SMALL = """\
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.io.buffer.size=131072
offsets.load.buffer.size=524288
transaction.state.log.load.buffer.size=524288
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
offsets.topic.segment.bytes=4194304
transaction.state.log.segment.bytes=4194304
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
num.network.threads=1
num.io.threads=2
background.threads=2
num.recovery.threads.per.data.dir=1
group.coordinator.threads=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class Broker(Server):
    @property
    def bootstrap(self) -> str:
        return self.program.address


@contextlib.asynccontextmanager
async def running(state: Path, port: int = 0) -> AsyncIterator[Broker]:
    """A broker with its data in `state`, ready for clients, stopped at the end."""
    broker = Broker(await prepare(state, port or FREE.take(), cache.directory(os.environ, state / "cache")))
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


async def prepare(
    state: Path, port: int, cached: Path, *, controller_port: int = 0, jvm_flags: tuple[str, ...] | None = None
) -> Program:
    """Fetch the jars, write the settings and format the disk where needed. Raises JarsMissing, NotReady."""
    class_path = await asyncio.to_thread(jars.classpath, cached)
    home = (state / "kafka").resolve()
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "server.properties"
    settings.write_text(_settings(port, controller_port or FREE.take(), home / "data"))
    if not (home / "data" / "meta.properties").exists():
        await asyncio.to_thread(_format, class_path, home / "data", cached)
    flags = (*JVM_FLAGS, *(aot.flags(cached, class_path) if jvm_flags is None else jvm_flags))
    return Program(
        name="kafka",
        argv=(str(wheels.java()), *flags, "-cp", class_path, "kafka.Kafka", str(settings)),
        log=state / "logs" / "kafka.log",
        address=f"{HOST}:{port}",
        port=port,
        ready=partial(accepts, HOST, port),
    )


def _settings(port: int, controller_port: int, disk: Path) -> str:
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{HOST}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}
advertised.listeners=PLAINTEXT://{HOST}:{port}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={disk}
{SMALL}"""


def _format(class_path: str, disk: Path, cached: Path) -> None:
    """A formatted disk under a cluster id of its own; the format tool, a JVM, runs only the first time."""
    template = cached / f"kafka-disk-{jars.digest(class_path)}"
    if not (template / "meta.properties").exists():
        _format_template(class_path, template)
    disk.mkdir(exist_ok=True)
    shutil.copy(template / "bootstrap.checkpoint", disk)
    names = {"cluster.id": cluster_id(), "directory.id": cluster_id()}
    lines = [line.partition("=") for line in (template / "meta.properties").read_text().splitlines()]
    own = [f"{key}={names.get(key, value)}\n" for key, equals, value in lines if equals]
    (disk / "meta.properties").write_text("".join(own))


def _format_template(class_path: str, template: Path) -> None:
    with tempfile.TemporaryDirectory(dir=template.parent) as scratch:
        settings, disk = Path(scratch, "server.properties"), Path(scratch, "disk")
        settings.write_text(_settings(FREE.take(), FREE.take(), disk))
        tool = [str(wheels.java()), *JVM_FLAGS, "-cp", class_path, "kafka.tools.StorageTool", "format"]
        command = [*tool, "--cluster-id", cluster_id(), "--config", str(settings)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotReady(f"kafka could not format its disk:\n{done.stdout}{done.stderr}")
        with contextlib.suppress(OSError):  # another process was first
            disk.rename(template)


def cluster_id() -> str:
    """22 URL-safe characters. One that begins with "-" would be read as an option by the format tool."""
    while (name := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return name
