"""An org that is not as it should be: a proxy before the simulator that changes single answers as a test says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

Bend = Callable[[Any], Any]
"""From a parsed answer to another; to an `int` for a bare status, to (status, answer) for both."""
_HOP = {"content-length", "content-encoding", "transfer-encoding", "connection"}


@dataclass(slots=True)
class BentOrg:
    """url: of the proxy; bends: by the end of the path that they apply to"""

    origin: str
    url: str = ""
    bends: dict[str, Bend] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        target = f"{self.origin}{request.rel_url}"
        headers = {**request.headers, "Accept-Encoding": "identity"}
        async with aiohttp.ClientSession(auto_decompress=True) as session:
            body = await request.read()
            async with session.request(request.method, target, data=body, headers=headers) as answer:
                return self._bent(request.path, answer.status, answer.headers, await answer.read())

    def _bent(self, path: str, status: int, headers: Any, body: bytes) -> web.Response:
        kept = {name: value for name, value in headers.items() if name.lower() not in _HOP}
        bend = next((bend for end, bend in self.bends.items() if path.rstrip("/").endswith(end)), None)
        if bend is None:
            return web.Response(status=status, body=body, headers=kept)
        changed = bend(json.loads(body))
        if isinstance(changed, int):
            return web.Response(status=changed, text="<html>no</html>", content_type="text/html")
        status, changed = changed if isinstance(changed, tuple) else (status, changed)
        return web.Response(status=status, body=json.dumps(changed).encode(), headers=kept)


@asynccontextmanager
async def before(origin: str) -> AsyncIterator[BentOrg]:
    """A proxy before the REST and login address of a simulator."""
    org = BentOrg(origin)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", org.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    org.url = f"http://{host}:{port}"
    try:
        yield org
    finally:
        await runner.cleanup()
