"""The services that the provisioning system talks to besides Salesforce: one server that keeps what it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

TOKEN = "a-service-token"


@dataclass(frozen=True, slots=True)
class Report:
    order_id: str
    status: str
    reason: str | None
    key: str


@dataclass(slots=True)
class Desk:
    """away: answers 503 to everything, as a front port does whose services are down"""

    address: str = ""
    away: bool = False
    tokens_given: int = 0
    reports: list[Report] = field(default_factory=list)

    def statuses(self, order_id: str) -> list[str]:
        return [report.status for report in self.reports if report.order_id == order_id]

    async def token(self, request: web.Request) -> web.Response:
        if self.away or await request.json() != {"service": "fulfilment"}:
            raise web.HTTPServiceUnavailable
        self.tokens_given += 1
        return web.json_response({"token": TOKEN})

    async def status(self, request: web.Request) -> web.Response:
        if self.away:
            raise web.HTTPServiceUnavailable
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            raise web.HTTPUnauthorized
        told = await request.json()
        order_id, key = request.match_info["order_id"], request.headers["Idempotency-Key"]
        self.reports.append(Report(order_id, told["status"], told.get("reason"), key))
        return web.json_response({"orderId": order_id, "status": told["status"]}, status=202)


@asynccontextmanager
async def open_desk() -> AsyncIterator[Desk]:
    desk = Desk()
    app = web.Application()
    app.add_routes([web.post("/identity/token", desk.token), web.post("/orders/{order_id}/status", desk.status)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        desk.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield desk
    finally:
        await runner.cleanup()
