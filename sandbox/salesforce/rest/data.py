"""The front of the data API: version, session, daily limit, then the resource."""

import re
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from aiohttp import web

from sandbox.salesforce.commit import Caller
from sandbox.salesforce.errors import Refused, not_found
from sandbox.salesforce.instance import API_VERSION, OLDEST_VERSION, Instance
from sandbox.salesforce.rest import describe
from sandbox.salesforce.rest.answers import INSTANCE, answer, bearer, json_response
from sandbox.salesforce.rest.call import Call, own_transaction, refusal
from sandbox.salesforce.rest.resources import Resources

RESOURCES = web.AppKey("resources", Resources)
Handler: TypeAlias = Callable[[web.Request, Instance, str], Awaitable[web.StreamResponse]]
_INVALID_SESSION = Refused("INVALID_SESSION_ID", "Session expired or invalid", status=401)
_LIMIT = Refused("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=403)


def add_routes(app: web.Application) -> None:
    app[RESOURCES] = Resources()
    app.router.add_get("/services/data", _versions)
    app.router.add_get("/services/data/", _versions)
    app.router.add_route("*", r"/services/data/v{version}/{path:.*}", _data)
    app.router.add_route("*", r"/services/data/v{version}", _data)


async def _versions(request: web.Request) -> web.Response:
    return json_response(request.app[INSTANCE], 200, describe.versions())


async def _data(request: web.Request) -> web.Response:
    instance = request.app[INSTANCE]
    resources = request.app[RESOURCES]
    try:
        version = admit(instance, request)
        path = "/" + request.rel_url.raw_path.split("/", 4)[4] if request.rel_url.raw_path.count("/") > 3 else "/"
        route, handler, values = resources.find(request.method, path)
        instance.usage.count_call(route)
        call = await _call(request, instance, version, path)
        reply = handler(call, *values)
    except Refused as error:
        reply = refusal(error)
    headers = {"Sforce-Limit-Info": instance.usage.limit_info()} | reply.headers
    if reply.body is None and reply.status == 204:
        return answer(instance, 204, b"", "application/json", headers)
    return json_response(instance, reply.status, reply.body, headers)


def admit(instance: Instance, request: web.Request) -> str:
    """The API version of an authorised call within the daily limit.  Raises Refused."""
    version = request.match_info["version"]
    if not re.fullmatch(r"\d\d\.0", version) or not 21 <= float(version) <= float(API_VERSION):
        raise not_found()
    if float(version) < OLDEST_VERSION:
        raise Refused("UNSUPPORTED_API_VERSION", "The API version is retired.", status=410)
    if not instance.sessions.valid(bearer(request)):
        raise _INVALID_SESSION
    if instance.usage.exhausted():
        raise _LIMIT
    return version


def caller(instance: Instance, request: web.Request, version: str, api: str = "rest") -> Caller:
    """Who acts; the client id of Sforce-Call-Options ends up in the events' changeOrigin."""
    origin = f"com/salesforce/api/{api}/{version}"
    options = dict(
        part.strip().partition("=")[::2] for part in request.headers.get("Sforce-Call-Options", "").split(",")
    )
    return Caller(instance.identity.user_id, f"{origin};client={options['client']}" if "client" in options else origin)


async def _call(request: web.Request, instance: Instance, version: str, path: str) -> Call:
    return Call(
        instance=instance,
        method=request.method,
        path=path,
        query=request.query,
        body=await read_json(request),
        version=version,
        headers=request.headers,
        transaction=own_transaction(instance.org, caller(instance, request, version)),
    )


async def read_json(request: web.Request) -> object:
    """The body as JSON, None without one.  Raises Refused."""
    raw = await request.read()
    if not raw:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("JSON_PARSER_ERROR", str(error)) from None
