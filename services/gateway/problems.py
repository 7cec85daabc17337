"""What goes wrong, as RFC 9457 problem documents. One middleware turns errors into answers; nobody else does."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from services.gateway.entry import Entry
from services.gateway.metrics import Metrics
from services.kernel.auth import ForeignOrigin, KeysAway, Unauthenticated
from services.kernel.errors import UmbraError

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(UmbraError):
    """An answer that is an error. `kind` ends the document's type, `more` are further members."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self) -> web.Response:
        document: dict[str, Any] = {
            "type": f"urn:umbra:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
        }
        if self.detail is not None:
            document["detail"] = self.detail
        headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store", **self.headers}
        return web.Response(status=self.status, body=msgspec.json.encode({**document, **self.more}), headers=headers)


def bad_request(detail: str) -> Problem:
    return Problem(400, "bad-request", "The request is wrong", detail)


def unauthenticated() -> Problem:
    headers = {"WWW-Authenticate": 'Bearer realm="umbra"'}
    return Problem(401, "unauthenticated", "A valid token is needed", headers=headers)


def forbidden(detail: str) -> Problem:
    return Problem(403, "forbidden", "The token does not allow this", detail)


def not_found() -> Problem:
    """Unknown and foreign look the same."""
    return Problem(404, "not-found", "There is no such thing, or it is not yours")


def unavailable(detail: str, retry_after: float | None = None) -> Problem:
    """Nothing was done and there is nothing to serve."""
    return Problem(
        503, "unavailable", "This cannot be answered now", detail, headers={"Retry-After": seconds(retry_after or 5)}
    )


def too_many(wait: float) -> Problem:
    return Problem(
        429,
        "too-many-live-reads",
        "Too many live reads were asked for",
        "Leave Umbra-Max-Staleness away, or ask less often.",
        headers={"Retry-After": seconds(wait)},
    )


def too_old(known: Entry, now_ms: int, retry_after: float | None) -> Problem:
    """What is known is older than the caller accepts, and Salesforce cannot be asked."""
    headers: dict[str, str] = {"Retry-After": seconds(retry_after or 5)}
    more: dict[str, object] = {}
    if known.says_something:
        age = max(0, now_ms - known.as_of_ms) // 1000
        headers |= {"Umbra-As-Of": known.as_of, "Age": str(age)}
        more = {"asOf": known.as_of, "age": age}
    return Problem(
        503,
        "too-old",
        "What is known is older than you accept",
        "Salesforce cannot be read now.",
        headers=headers,
        more=more,
    )


def nothing_known(retry_after: float | None) -> Problem:
    return unavailable("Nothing is known of this, and Salesforce is away.", retry_after)


def seconds(value: float) -> str:
    """A wait as Retry-After takes it."""
    return str(max(1, math.ceil(value)))


def middleware(metrics: Metrics) -> Any:
    @web.middleware
    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        route = route_of(request)
        try:
            response = await handler(request)
        except Exception as error:  # noqa: BLE001 - the one place that turns any error of a request into an answer
            response = of_error(error, route)
        count, took = metrics.request(route, response.status)
        count.inc()
        took.observe(time.perf_counter() - began)
        return response

    return answered


def route_of(request: web.Request) -> str:
    """The route's pattern, never the address itself."""
    resource = request.match_info.route.resource
    return "none" if resource is None else f"{request.method} {resource.canonical}"


def of_error(error: Exception, route: str) -> web.Response:
    return _problem(error, route).response()


def _problem(error: Exception, route: str) -> Problem:
    match error:
        case Problem():
            return error
        case Unauthenticated():
            return unauthenticated()
        case ForeignOrigin():
            return forbidden(str(error))
        case KeysAway():
            return unavailable("The token cannot be checked now.")
        case web.HTTPException():
            headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
            return Problem(error.status, "http", error.reason, headers=headers)
    log.error("a request failed", extra={"action": "request_failed", "route": route}, exc_info=error)
    return Problem(500, "internal", "This failed on our side")
