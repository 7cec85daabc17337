"""Oddities by the control endpoint: GET and POST /oddities, POST /oddities/<what>, GET and POST /clock."""

from typing import Any

import msgspec
from aiohttp import web

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.oddities.late import settle_forever
from sandbox.salesforce.oddities.oneshots import OneShots, behaving
from sandbox.salesforce.org import Org
from sandbox.salesforce.rest.answers import INSTANCE

ONE_SHOTS = web.AppKey("one-shots", OneShots)


def add_routes(app: web.Application) -> None:
    app[ONE_SHOTS] = OneShots()
    app.router.add_get("/oddities", _shown)
    app.router.add_post("/oddities", _changed)
    app.router.add_post("/oddities/{what}", _once)
    app.router.add_get("/clock", _clock)
    app.router.add_post("/clock", _set_clock)
    app.on_startup.append(_start)


async def _start(app: web.Application) -> None:
    org = app[INSTANCE].org
    app[INSTANCE].spawn(settle_forever(org.settle, org.late, lambda: org.clock.speed), "settle-oddities")


async def _shown(request: web.Request) -> web.Response:
    """Lasting behaviour, and what can be done once."""
    org = request.app[INSTANCE].org
    return _json({"oddities": org.oddities, "once": sorted(request.app[ONE_SHOTS].by_name)})


async def _changed(request: web.Request) -> web.Response:
    """Only what is named changes."""
    org = request.app[INSTANCE].org
    org.behave(behaving(org, await _body(request)))
    return _json({"oddities": org.oddities})


async def _once(request: web.Request) -> web.Response:
    org = request.app[INSTANCE].org
    return _json(request.app[ONE_SHOTS].call(request.match_info["what"], org, await _body(request)))


async def _clock(request: web.Request) -> web.Response:
    return _json(_told(request.app[INSTANCE].org))


async def _set_clock(request: web.Request) -> web.Response:
    """{"offset_ms"?, "speed"?}."""
    org, body = request.app[INSTANCE].org, await _body(request)
    offset = body.get("offset_ms", org.clock.offset_ms)
    if not isinstance(offset, int):
        raise Refused("INVALID_INPUT", "offset_ms must be a whole number")
    try:
        org.clock.set_speed(float(body.get("speed", org.clock.speed)))
    except (ValueError, TypeError) as error:
        raise Refused("INVALID_INPUT", str(error)) from None
    org.clock.offset_ms = offset
    org.late.changed.set()
    return _json(_told(org))


def _told(org: Org) -> dict[str, Any]:
    return {"now_ms": org.clock.now_ms(), "offset_ms": org.clock.offset_ms, "speed": org.clock.speed}


def _json(body: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(await request.read() or b"{}")
    except msgspec.DecodeError as error:
        raise Refused("JSON_PARSER_ERROR", str(error)) from None
    if not isinstance(body, dict):
        raise Refused("JSON_PARSER_ERROR", "a JSON object is expected")
    return body
