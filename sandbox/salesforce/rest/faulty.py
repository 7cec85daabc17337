"""Armed faults as HTTP calls meet them: before the call is carried out, after it, and in its answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.faults import rest as kinds
from sandbox.salesforce.faults.rest import Reason, When
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.rest.answers import INSTANCE, answer, bearer, json_response

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
# How an answer that is sent in parts has to end; the middleware itself does it for those that are whole.
BROKEN_OFF = web.RequestKey("broken_off", kinds.BrokenOff)
_EDGE = (
    "<html><head><title>Error</title></head><body><h1>Salesforce Edge</h1>"
    "<p>The request could not be served. Error {status}.</p></body></html>"
)
REFUSALS: dict[Reason, Refused] = {
    "daily_limit": Refused("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=403),
    "concurrent_limit": Refused(
        "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.", status=403
    ),
    "long_transactions": Refused("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.", status=403),
    "invalid_session": Refused("INVALID_SESSION_ID", "Session expired or invalid", status=401),
    "api_disabled": Refused("API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner", status=403),
    "unknown_exception": Refused("UNKNOWN_EXCEPTION", "An unexpected error occurred.", status=500),
    "server_unavailable": Refused("SERVER_UNAVAILABLE", "Server temporarily unavailable.", status=503),
    "query_timeout": Refused("QUERY_TIMEOUT", "Your query request was running for too long.", status=400),
    "row_lock": Refused("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record", status=400),
    "bulk_jobs_limit": Refused("LIMIT_EXCEEDED", "Max bulk v2 query jobs (10000) per 24 hrs has been reached"),
    "bulk_storage_limit": Refused(
        "LIMIT_EXCEEDED", "Max bulk v2 query result size stored (1000000000) kb per 24 hrs has been exceeded"
    ),
    "not_found": Refused("NOT_FOUND", "The requested resource does not exist", status=404),
}


@web.middleware
async def with_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    instance, names = request.app[INSTANCE], subjects(request)
    if (early := await _met(request, instance, names, "before")) is not None:
        return early
    if (broken := instance.faults.take(kinds.BrokenOff, *names)) is not None:
        request[BROKEN_OFF] = broken
    response = await handler(request)
    if response.prepared:
        return response
    if (late := await _met(request, instance, names, "after")) is not None:
        return late
    return await _break_off(request, response) if broken is not None else response


async def tell_usage(request: web.Request, response: web.StreamResponse) -> None:
    """The form of Sforce-Limit-Info; for the signal that an answer is about to be sent."""
    limit_info = None
    if "Sforce-Limit-Info" in response.headers:
        limit_info = request.app[INSTANCE].faults.take(kinds.LimitInfo, *subjects(request))
    match limit_info and limit_info.form:
        case "absent":
            del response.headers["Sforce-Limit-Info"]
        case "garbled":
            response.headers["Sforce-Limit-Info"] = "api-usage=many"
        case "per_app":
            response.headers["Sforce-Limit-Info"] += "; per-app-api-usage=17/250(appName=sample-connected-app)"


def subjects(request: web.Request) -> tuple[str, str]:
    """Method and path below the version, without and with the query string, both decoded."""
    path = request.rel_url.path
    parts = path.split("/", 4)
    if path.startswith("/services/data/v") and len(parts) == 5:
        path = "/" + parts[4]
    name = f"{request.method} {path}"
    return name, f"{name}?{request.rel_url.query_string}"


async def _met(
    request: web.Request, instance: Instance, names: tuple[str, str], when: When
) -> web.StreamResponse | None:
    """The answer in place of the real one, when a fault gives one."""
    board = instance.faults
    if (slow := board.take(kinds.Slow, *names, where=lambda f: f.when == when)) is not None:
        await asyncio.sleep(slow.seconds)
    if (hang := board.strike(kinds.Hang, *names, where=lambda f: f.when == when)) is not None:
        await board.until_off(hang)
        return _reset(request, instance)
    if board.take(kinds.Drop, *names, where=lambda f: f.when == when) is not None:
        return _reset(request, instance)
    if when == "after":
        return None
    token = bearer(request)
    if token and (revoke := board.take(kinds.Revoke, *names, where=lambda f: f.on == "call")) is not None:
        instance.sessions.revoke(token)
        if revoke.tokens == "all":
            instance.sessions.revoke_all()
    if (refuse := board.take(kinds.Refuse, *names)) is not None:
        return _refused(instance, REFUSALS[refuse.reason])
    if (page := board.take(kinds.Page, *names)) is not None:
        return _page(instance, page)
    return None


def _reset(request: web.Request, instance: Instance) -> web.Response:
    """Resets the connection; the answer is for the server's own book-keeping, nobody gets it."""
    reset(request)
    return answer(instance, 500, b"", "text/plain")


def _refused(instance: Instance, refusal: Refused) -> web.Response:
    headers = {"Sforce-Limit-Info": instance.usage.limit_info()}
    return json_response(instance, refusal.status, [refusal.as_rest()], headers)


def _page(instance: Instance, page: kinds.Page) -> web.Response:
    headers = {} if page.retry_after is None else {"Retry-After": str(page.retry_after)}
    if page.body == "empty":
        return answer(instance, page.status, b"", "text/plain", headers)
    if page.body == "text":
        return answer(instance, page.status, b"Service unavailable, try again later.\n", "text/plain", headers)
    return answer(instance, page.status, _EDGE.format(status=page.status).encode(), "text/html", headers)


async def _break_off(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Sends the beginning of a whole answer and breaks the connection, or lies that it was all."""
    body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
    broken = request[BROKEN_OFF]
    sent = web.StreamResponse(status=response.status, headers=response.headers)
    part = body[: int(len(body) * broken.keep)]
    sent.content_length = len(part) if broken.how == "short" else len(body)
    await sent.prepare(request)
    unbuffered(request)
    await sent.write(part)
    if broken.how == "short":
        await sent.write_eof()
    else:
        reset(request)
    return sent


def unbuffered(request: web.Request) -> None:
    """From here on a write returns once the kernel has it all: what is still in the process, a reset throws away."""
    if request.transport is not None:
        request.transport.set_write_buffer_limits(0)


def reset(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
