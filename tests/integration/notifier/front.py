"""A front that misbehaves when told to: serves the browser client, and passes streams on to notifiers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from services.kernel.health import served
from tests.integration.notifier.world import token
from tests.support.eventually import eventually

PORTAL = Path(__file__).parents[3] / "portal"


@dataclass
class Front:
    """mode: "pass"; a status to answer with; or "silent": the connection stays and nothing comes through."""

    session: aiohttp.ClientSession
    targets: list[str]
    mode: str | int = "pass"
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    port: int = 0

    async def stream(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((str(request.rel_url), request.headers.get("Last-Event-ID")))
        if isinstance(self.mode, int):
            return web.Response(status=self.mode)
        headers = {"Authorization": f"Bearer {token()}"}
        if "Last-Event-ID" in request.headers:
            headers["Last-Event-ID"] = request.headers["Last-Event-ID"]
        with contextlib.suppress(aiohttp.ClientError):
            async with self.session.get(self.targets[0] + str(request.rel_url), headers=headers) as answer:
                return await self._carry(request, answer)
        return web.Response(status=502)

    async def _carry(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
        await response.prepare(request)
        with contextlib.suppress(aiohttp.ClientError):
            async for part in answer.content.iter_any():
                await eventually(lambda: self.mode != "silent", within=60)
                if isinstance(self.mode, int):
                    break
                await response.write(part)
        return response

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>orders</title>", content_type="text/html")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def running(*targets: str) -> AsyncIterator[Front]:
    app = web.Application()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        front = Front(session, list(targets))
        app.router.add_get("/", front.page)
        app.router.add_get("/orders/{order}/events", front.stream)
        app.router.add_get("/orders/events", front.stream)
        app.router.add_static("/portal", PORTAL)
        async with served(app, "127.0.0.1", 0) as front.port:
            yield front
