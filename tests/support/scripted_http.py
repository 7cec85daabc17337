"""An HTTP server that does what a test says, byte by byte: for what a well-behaved org never does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

Reply = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Scripted:
    """Answers logins by itself, or by `login`; every other request by `answer`, and keeps it in `requests`."""

    url: str
    answer: Reply
    login: Reply | None = None
    requests: list[Request] = field(default_factory=list)
    logins: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._serve_one(await _read(reader), writer)
        finally:
            writer.close()

    async def _serve_one(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path.endswith("/oauth2/token"):
            self.logins += 1
            await (self.login or reply(200, self.token()))(request, writer)
        else:
            self.requests.append(request)
            await self.answer(request, writer)

    def token(self) -> dict[str, str]:
        return {
            "access_token": f"token-{self.logins}",
            "instance_url": self.url,
            "id": f"{self.url}/id/00D000000000001AAA/005000000000001AAA",
            "issued_at": "1700000000000",
        }


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


def reply(status: int, body: Any, usage: str | None = "api-usage=10/1000", **headers: str) -> Reply:
    """A whole answer: JSON, or text as it is."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    fields = {
        "Date": formatdate(usegmt=True),
        "Content-Length": str(len(content)),
        "Content-Type": "text/html" if isinstance(body, str) else "application/json",
        **({"Sforce-Limit-Info": usage} if usage else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = f"HTTP/1.1 {status} x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())

    async def write(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + b"\r\n" + content)
        await writer.drain()

    return write


def found(*records: dict[str, Any]) -> Reply:
    """The answer to a query, all on one page."""
    return reply(200, {"totalSize": len(records), "done": True, "records": list(records)})


async def hang(_: Request, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def hang_up(_: Request, writer: asyncio.StreamWriter) -> None:
    """Close without an answer."""
    writer.close()
    raise ConnectionError


async def trickle(_: Request, writer: asyncio.StreamWriter) -> None:
    """Promise a body and send a byte of it now and then."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


def in_turn(*replies: Reply) -> Reply:
    """Each reply once, the last for ever."""
    left = list(replies)

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, writer)

    return answer


@asynccontextmanager
async def serving(answer: Reply) -> AsyncIterator[Scripted]:
    scripted = Scripted("", answer)
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(scripted.serve(reader, writer), name="scripted connection")
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    scripted.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield scripted
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()
        await asyncio.sleep(0)  # the transports close in the loop's next turn
