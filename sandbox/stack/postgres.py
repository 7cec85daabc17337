"""PostgreSQL 18 from a wheel, on 127.0.0.1, with the three roles that the services use.

`umbra` owns the schema and migrates it, `umbra_projector` writes, `umbra_reader` only reads.
There is no unix socket, so a deep state directory is no problem. As root the server runs as "nobody".
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg

from sandbox.stack import leash, wheels
from sandbox.stack.child import NotReady
from sandbox.stack.ports import FREE, HOST
from sandbox.stack.program import Program
from sandbox.stack.server import Server

SUPERUSER, OWNER, PROJECTOR, READER = "postgres", "umbra", "umbra_projector", "umbra_reader"
DATABASE = "umbra"

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}
# A crash of a process loses nothing with these, a crash of the machine may: right for tests alone.
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}


class Database(Server):
    def dsn_of(self, role: str, database: str = DATABASE) -> str:
        return f"postgresql://{role}@{self.program.address}/{database}"

    @property
    def dsn(self) -> str:
        """The owner's: may migrate and write."""
        return self.dsn_of(OWNER)

    async def start(self) -> None:
        await super().start()
        await ensure_roles(self.program.port)
        await ensure_database(self.program.port, DATABASE)

    async def create(self, name: str, template: str = "template0") -> str:
        """A new database owned by `umbra`; its address for the owner."""
        await ensure_database(self.program.port, name, template)
        return self.dsn_of(OWNER, name)

    async def drop(self, name: str) -> None:
        """Remove a database, ending the sessions in it."""
        async with _superuser(self.program.port) as connection:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@asynccontextmanager
async def running(state: Path, port: int = 0, *, durable: bool = False) -> AsyncIterator[Database]:
    """A server with its data in `state` and an empty database `umbra`, stopped at the end."""
    server = Database(await prepare(state, port or FREE.take(), durable=durable))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def prepare(state: Path, port: int, *, durable: bool = True) -> Program:
    """Make the cluster where there is none yet. Raises NotReady."""
    cluster = (state / "postgres").resolve()
    if not (cluster / "PG_VERSION").exists():
        await asyncio.to_thread(_initialise, cluster)
    settings = {**SETTINGS, "port": str(port), **({} if durable else FORGETFUL)}
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return Program(
        name="postgres",
        argv=(str(wheels.postgres()), "-D", str(cluster), *options),
        log=state / "logs" / "postgres.log",
        address=f"{HOST}:{port}",
        port=port,
        ready=partial(_ready, port),
        user=account(),
        env=environment(),
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
    )


def account() -> str:
    """The system user the server runs as: PostgreSQL refuses to run as root."""
    return "nobody" if os.geteuid() == 0 else "-"


def environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _initialise(cluster: Path) -> None:
    shutil.rmtree(cluster, ignore_errors=True)
    cluster.mkdir(parents=True, mode=0o700)
    if account() != "-":
        entry = pwd.getpwnam(account())
        os.chown(cluster, entry.pw_uid, entry.pw_gid)
    command = leash.command(
        account(),
        str(wheels.postgres("initdb")),
        "-D",
        str(cluster),
        "-U",
        SUPERUSER,
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=environment())
    if done.returncode != 0:
        shutil.rmtree(cluster, ignore_errors=True)
        raise NotReady(f"postgres could not make its cluster:\n{done.stdout}{done.stderr}")


@asynccontextmanager
async def _superuser(port: int, database: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(host=HOST, port=port, user=SUPERUSER, database=database)
    try:
        yield connection
    finally:
        await connection.close()


async def _ready(port: int) -> bool:
    try:
        async with _superuser(port) as connection:
            return await connection.fetchval("SELECT true") is True
    except (asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
        return False


async def ensure_roles(port: int) -> None:
    async with _superuser(port) as connection:
        for role in (OWNER, PROJECTOR, READER):
            if not await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role):
                await connection.execute(f"CREATE ROLE {role} LOGIN")


async def ensure_database(port: int, name: str, template: str = "template0") -> None:
    """Create it where missing. What each role may do in it is the migrations' part."""
    async with _superuser(port) as connection:
        if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            return
        await connection.execute(f'CREATE DATABASE "{name}" OWNER {OWNER} TEMPLATE "{template}"')
