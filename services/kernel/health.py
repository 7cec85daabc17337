"""Health: ready fails fast (send me nothing now), live fails slow (restart me); the admin listener.

A check returns None when all is well, else a short sentence that names the broken part.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry

from services.kernel import metrics
from services.kernel.settings import AdminSettings

Check = Callable[[], Awaitable[str | None]]


class Health:
    """Named checks of one process."""

    def __init__(self) -> None:
        self._ready: dict[str, Check] = {}
        self._live: dict[str, Check] = {}

    def ready(self, name: str, check: Check) -> None:
        """Add a condition for getting traffic."""
        self._ready[name] = check

    def live(self, name: str, check: Check) -> None:
        """Add a condition for being left running. A dependency that is away is none."""
        self._live[name] = check

    async def readiness(self) -> dict[str, str]:
        """What keeps this process from being ready; empty when nothing does."""
        return await _faults(self._ready)

    async def liveness(self) -> dict[str, str]:
        return await _faults(self._live)


async def _faults(checks: dict[str, Check]) -> dict[str, str]:
    found = {name: await check() for name, check in checks.items()}
    return {name: fault for name, fault in found.items() if fault is not None}


class Gate:
    """A check that a part of the process opens and closes itself."""

    def __init__(self, why: str) -> None:
        self._why: str | None = why

    def open(self) -> None:
        self._why = None

    def close(self, why: str) -> None:
        self._why = why

    @property
    def is_open(self) -> bool:
        return self._why is None

    async def check(self) -> str | None:
        return self._why


def answer(faults: dict[str, str]) -> web.Response:
    """A probe's answer: 200, or 503 with the broken parts by name."""
    return web.json_response({"ok": not faults, "faults": faults}, status=503 if faults else 200)


def routes(health: Health, registry: CollectorRegistry) -> list[web.RouteDef]:
    async def live(_: web.Request) -> web.Response:
        return answer(await health.liveness())

    async def ready(_: web.Request) -> web.Response:
        return answer(await health.readiness())

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(registry), headers={"Content-Type": metrics.CONTENT_TYPE})

    return [web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", scrape)]


@asynccontextmanager
async def admin_server(
    settings: AdminSettings,
    health: Health,
    registry: CollectorRegistry,
    extra: list[web.RouteDef] | None = None,
) -> AsyncIterator[int]:
    """Serve probes, metrics and `extra` routes; yields the port."""
    app = web.Application()
    app.add_routes([*routes(health, registry), *(extra or [])])
    async with served(app, settings.host, settings.port) as port:
        yield port


@asynccontextmanager
async def served(
    app: web.Application, host: str, port: int, *, backlog: int = 4096, shutdown_timeout: float = 2.0
) -> AsyncIterator[int]:
    """Serve an aiohttp application; yields the port. The backlog is for storms of reconnects."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=backlog, reuse_address=True)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
