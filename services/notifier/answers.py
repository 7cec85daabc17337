"""What a client is told when it gets no stream.

A status other than 200 stops a browser's stream for good, so it is given only to stop it. Overload, drain and
anything that is away: 200, a `retry:` of the client's own, and the end. 204: the order is finished and the client
knows it. 401, 403, 404: this client has nothing to come back for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from services.kernel import auth
from services.notifier import sse
from services.notifier.hub import Hub
from services.notifier.reader import KafkaAway
from services.notifier.snapshot import PostgresAway
from services.notifier.tickets import ValkeyAway

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LATER_SECONDS = 0.5
"""Least time until a client that was turned away comes again."""


class Later(Exception):
    """Not here or not now: the client comes again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(Exception):
    """The client is to stop."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


_AWAY: dict[type[Exception], str] = {
    KafkaAway: "kafka",
    PostgresAway: "postgres",
    ValkeyAway: "valkey",
    auth.KeysAway: "issuer",
}


class Answers:
    """The one place where errors become answers."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    @web.middleware
    async def stream(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Later as error:
            return self.later(error.reason)
        except tuple(_AWAY) as error:
            return self.away(request, _AWAY[type(error)])
        except auth.Unauthenticated as error:
            return self.refuse(401, str(error))
        except auth.ForeignOrigin as error:
            return self.refuse(403, str(error))
        except Refused as error:
            return self.refuse(error.status, error.detail)

    def away(self, request: web.Request, what: str) -> web.Response:
        """A stream's client comes again by itself; whoever posts is told in the usual way."""
        if request.method == "GET":
            return self.later(what)
        return self.refuse(503, f"{what} is away")

    def later(self, reason: str) -> web.Response:
        return web.Response(body=self.later_block(reason), headers=sse.HEADERS)

    def later_block(self, reason: str) -> bytes:
        self._hub.metrics.turned_away.labels(reason).inc()
        return sse.later(reason, self._hub.retry_ms(LATER_SECONDS))

    def refuse(self, status: int, detail: str) -> web.Response:
        self._hub.metrics.refused.labels(str(status)).inc()
        headers = {"Cache-Control": "no-store"}
        if status == 204:
            return web.Response(status=204, headers=headers)
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if status == 503:
            headers["Retry-After"] = "2"
        problem = {"title": detail, "status": status}
        return web.json_response(problem, status=status, headers=headers, content_type="application/problem+json")
