"""POST /orders/events/ticket: a ticket for one stream, for pages of the allowed other origins."""

from __future__ import annotations

import re

import msgspec
from aiohttp import hdrs, web

from schemas import events
from services.kernel import auth
from services.notifier import tickets
from services.notifier.answers import Refused
from services.notifier.callers import Callers
from services.notifier.tickets import Tickets

PATH = "/orders/events/ticket"
_STREAM = re.compile(r"/orders/(?:[A-Za-z0-9]{15,18}/)?events")
_LARGEST = 1024


class Wish(msgspec.Struct, frozen=True):
    path: str


class TicketRoute:
    def __init__(self, callers: Callers, issued: Tickets, allowed_origins: tuple[str, ...]) -> None:
        self._callers = callers
        self._tickets = issued
        self._origins = frozenset(allowed_origins)

    async def post(self, request: web.Request) -> web.Response:
        auth.check_origin(request)
        caller = await self._callers.by_token(request)
        path = await _path(request)
        ticket = await self._tickets.issue(caller.claims, path)
        said = {"ticket": ticket, "path": path, "expiresAt": events.stamp(caller.claims.expires_at)}
        return web.json_response(said, status=201, headers={"Cache-Control": "no-store"})

    async def preflight(self, _: web.Request) -> web.Response:
        return web.Response(status=204)

    async def allow(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let pages of the allowed origins read what came by ticket, or fetch one with a bearer token. No cookies."""
        if self._origins and (request.path == PATH or tickets.PARAMETER in request.query):
            response.headers.add(hdrs.VARY, hdrs.ORIGIN)
            origin = request.headers.get(hdrs.ORIGIN)
            if origin in self._origins:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "Authorization, Content-Type, Last-Event-ID"
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST"


async def _path(request: web.Request) -> str:
    """The wished stream's path. Only JSON: a form on a foreign page cannot send it without asking first."""
    if request.content_type != "application/json" or (request.content_length or 0) > _LARGEST:
        raise Refused(400, 'the body must be a small JSON object {"path": "/orders/…/events"}')
    try:
        path = msgspec.json.decode(await request.read(), type=Wish).path
    except msgspec.DecodeError as error:
        raise Refused(400, 'the body must be a small JSON object {"path": "/orders/…/events"}') from error
    if not _STREAM.fullmatch(path):
        raise Refused(400, "a ticket is for /orders/events or /orders/{id}/events")
    return path
