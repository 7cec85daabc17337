"""Answers over HTTP: JSON by one encoder, the org's own time in Date, and a page instead of JSON while it is off."""

from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import Any

import msgspec
from aiohttp import web

from sandbox.salesforce.instance import Instance

INSTANCE = web.AppKey("instance", Instance)
_encoder = msgspec.json.Encoder()
_DOWN = (
    b"<html><head><title>Down for maintenance</title></head><body>Salesforce is temporarily unavailable.</body></html>"
)


def answer(
    instance: Instance, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    all_headers = {"Date": formatdate(instance.org.clock.now_s(), usegmt=True), **(headers or {})}
    charset = "utf-8" if content_type.startswith(("text/", "application/json")) else None
    return web.Response(status=status, body=body, content_type=content_type, charset=charset, headers=all_headers)


def json_response(instance: Instance, status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    return answer(instance, status, _encoder.encode(body), "application/json", headers)


def bearer(request: web.Request) -> str:
    """The token a call came with; the older word for it is still taken."""
    return request.headers.get("Authorization", "").removeprefix("Bearer ").removeprefix("OAuth ")


@web.middleware
async def while_on(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turned off, every request gets a 503 that is no JSON, as the real front does."""
    instance = request.app[INSTANCE]
    if not instance.switch.on:
        return answer(instance, 503, _DOWN, "text/html")
    return await handler(request)
