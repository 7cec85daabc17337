"""Valkey 9 from a wheel, on 127.0.0.1.

It keeps nothing over a restart: a cache that came back older than the rows would serve old values as told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from sandbox.stack import wheels
from sandbox.stack.ports import FREE, HOST
from sandbox.stack.program import Program
from sandbox.stack.server import Server


class Cache(Server):
    def url_of(self, number: int) -> str:
        return f"redis://{self.program.address}/{number}"

    @property
    def url(self) -> str:
        return self.url_of(0)


@asynccontextmanager
async def running(state: Path, port: int = 0) -> AsyncIterator[Cache]:
    """An empty server, stopped at the end."""
    server = Cache(await prepare(state, port or FREE.take()))
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def prepare(state: Path, port: int) -> Program:
    home = (state / "valkey").resolve()
    home.mkdir(parents=True, exist_ok=True)
    options = (
        "--port",
        str(port),
        "--bind",
        HOST,
        "--dir",
        str(home),
        "--save",
        "",
        "--appendonly",
        "no",
        "--daemonize",
        "no",
        "--databases",
        "64",
    )
    return Program(
        name="valkey",
        argv=(str(wheels.valkey()), *options),
        log=state / "logs" / "valkey.log",
        address=f"{HOST}:{port}",
        port=port,
        ready=partial(_ready, port),
    )


async def _ready(port: int) -> bool:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    finally:
        writer.close()
