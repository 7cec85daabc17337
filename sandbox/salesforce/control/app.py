"""The control endpoint: JSON in and out, for this machine only."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from sandbox.salesforce.commit import Caller
from sandbox.salesforce.control import views
from sandbox.salesforce.errors import Refused, not_found
from sandbox.salesforce.faults import routes as fault_routes
from sandbox.salesforce.instance import API_VERSION, Instance
from sandbox.salesforce.objects import ORDER, PRICEBOOK_ENTRY
from sandbox.salesforce.oddities import routes as oddity_routes
from sandbox.salesforce.oddities.operations import operate, operations_of
from sandbox.salesforce.rest.answers import INSTANCE
from sandbox.salesforce.rest.records import find_id, find_object, read_fields
from sandbox.salesforce.schema import SObject, Value
from sandbox.salesforce.seed.plant import PORTAL_BOOK
from sandbox.salesforce.usage import Allowances
from sandbox.salesforce.values import parse

_PAGE = Path(__file__).with_name("page.html")
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost"})
_encoder = msgspec.json.Encoder()
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(instance: Instance) -> web.Application:
    app = web.Application(middlewares=[_guard], client_max_size=50 * 1024 * 1024)
    app[INSTANCE] = instance
    app.router.add_get("/", _page)
    app.router.add_get("/state", _state)
    app.router.add_get("/prices", _prices)
    app.router.add_get("/orders", _orders)
    app.router.add_get("/demo/accounts", _demo_accounts)
    app.router.add_get("/records/{object}", _all)
    app.router.add_post("/records/{object}", _create)
    app.router.add_get("/records/{object}/{id}", _one)
    app.router.add_patch("/records/{object}/{id}", _update)
    app.router.add_delete("/records/{object}/{id}", _delete)
    app.router.add_post("/records/{object}/{id}/undelete", _undelete)
    app.router.add_post("/transaction", _transaction)
    app.router.add_post("/price", _price)
    app.router.add_post("/orders/{id}/status", _status)
    app.router.add_post("/switch", _switch)
    app.router.add_get("/allowances", _allowances)
    app.router.add_post("/allowances", _allow)
    fault_routes.add_routes(app)
    oddity_routes.add_routes(app)
    return app


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Refuses pages of other origins and names other than this machine's, which such a page could point here."""
    origin = request.headers.get("Origin", f"http://{request.host}")
    if (request.url.host or "") not in _LOCAL_HOSTS or origin != f"http://{request.host}":
        return _json([{"errorCode": "FORBIDDEN", "message": "local callers only"}], 403)
    try:
        return await handler(request)
    except Refused as error:
        return _json([error.as_rest()], error.status)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=_encoder.encode(body), status=status, content_type="application/json")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(await request.read() or b"{}")
    except msgspec.DecodeError as error:
        raise Refused("JSON_PARSER_ERROR", str(error)) from None
    if not isinstance(body, dict):
        raise Refused("JSON_PARSER_ERROR", "a JSON object is expected")
    return body


def _caller(instance: Instance) -> Caller:
    """Changes come from the org's own pages, as far as events can tell."""
    return Caller(instance.identity.user_id, f"com/salesforce/api/soap/{API_VERSION};client=SfdcInternalAPI/")


async def _page(_: web.Request) -> web.Response:
    return web.Response(text=_PAGE.read_text(encoding="utf-8"), content_type="text/html")


async def _state(request: web.Request) -> web.Response:
    return _json(views.state(request.app[INSTANCE]))


async def _prices(request: web.Request) -> web.Response:
    search, limit = request.query.get("search", ""), request.query.get("limit", "60")
    return _json({"prices": views.prices(request.app[INSTANCE].org, search, int(limit) if limit.isdigit() else 60)})


async def _orders(request: web.Request) -> web.Response:
    return _json({"orders": views.orders(request.app[INSTANCE].org)})


async def _demo_accounts(request: web.Request) -> web.Response:
    return _json({"accounts": views.demo_accounts(request.app[INSTANCE].org)})


async def _all(request: web.Request) -> web.StreamResponse:
    """All records, sent in slices: with 80,000 of them one answer would hold up everybody else."""
    obj = find_object(request.match_info["object"])
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    await response.write(b'{"records":[')
    first = True
    for part in views.slices(request.app[INSTANCE].org, obj):
        rows = b",".join(_encoder.encode(row) for row in part)
        await response.write(rows if first else b"," + rows)
        first = False
    await response.write(b"]}")
    await response.write_eof()
    return response


async def _one(request: web.Request) -> web.Response:
    obj, record_id = _target(request)
    return _json(_shown(request, obj, record_id))


def _target(request: web.Request) -> tuple[SObject, str]:
    return find_object(request.match_info["object"]), find_id(request.match_info["id"])


def _shown(request: web.Request, obj: SObject, record_id: str) -> dict[str, Any]:
    org = request.app[INSTANCE].org
    if (record := org.store.get(obj.name, record_id)) is None:
        raise not_found()
    return views.full(org, obj, record)


async def _create(request: web.Request) -> web.Response:
    obj, body = find_object(request.match_info["object"]), await _body(request)
    with request.app[INSTANCE].org.transaction(_caller(request.app[INSTANCE])) as tx:
        record_id = tx.create(obj, read_fields(obj, body, creating=True))
    return _json(_shown(request, obj, record_id), 201)


async def _update(request: web.Request) -> web.Response:
    (obj, record_id), body = _target(request), await _body(request)
    with request.app[INSTANCE].org.transaction(_caller(request.app[INSTANCE])) as tx:
        tx.update(obj, record_id, read_fields(obj, body, creating=False))
    return _json(_shown(request, obj, record_id))


async def _delete(request: web.Request) -> web.Response:
    obj, record_id = _target(request)
    with request.app[INSTANCE].org.transaction(_caller(request.app[INSTANCE])) as tx:
        tx.delete(obj, record_id)
    return _json(_shown(request, obj, record_id))


async def _undelete(request: web.Request) -> web.Response:
    obj, record_id = _target(request)
    with request.app[INSTANCE].org.transaction(_caller(request.app[INSTANCE])) as tx:
        tx.undelete(obj, record_id)
    return _json(_shown(request, obj, record_id))


async def _transaction(request: web.Request) -> web.Response:
    """Several operations in one commit: {"operations": [{"op", "object", "id"?, "fields"?}]} -> {"ids": [...]}."""
    operations = operations_of(await _body(request))
    with request.app[INSTANCE].org.transaction(_caller(request.app[INSTANCE])) as tx:
        ids = operate(tx, operations)
    return _json({"ids": ids})


async def _price(request: web.Request) -> web.Response:
    """{"sku", "currency", "price", "pricebook"?}: the book by name or id, the portal's when none is named."""
    instance, body = request.app[INSTANCE], await _body(request)
    org = instance.org
    entry = views.find_entry(
        org, str(body.get("sku")), str(body.get("currency")), str(body.get("pricebook") or PORTAL_BOOK)
    )
    if entry is None:
        raise not_found("no price entry for this SKU, currency and price book")
    price: Value = parse(PRICEBOOK_ENTRY.by_name["UnitPrice"], body.get("price"))
    with org.transaction(_caller(instance)) as tx:
        tx.update(PRICEBOOK_ENTRY, str(entry["Id"]), {"UnitPrice": price})
    return _json(_shown(request, PRICEBOOK_ENTRY, str(entry["Id"])))


async def _status(request: web.Request) -> web.Response:
    """{"status", "reason"?} for one order."""
    instance, body = request.app[INSTANCE], await _body(request)
    order_id = find_id(request.match_info["id"])
    if not body.get("status"):
        raise Refused("REQUIRED_FIELD_MISSING", "Required fields are missing: [status]", ["status"])
    values = {"Status": body["status"]} | ({"Status_Reason__c": body["reason"]} if "reason" in body else {})
    with instance.org.transaction(_caller(instance)) as tx:
        tx.update(ORDER, order_id, read_fields(ORDER, values, creating=False))
    return _json(_shown(request, ORDER, order_id))


async def _switch(request: web.Request) -> web.Response:
    """{"salesforce": "on" | "off"}."""
    instance, body = request.app[INSTANCE], await _body(request)
    if body.get("salesforce") not in ("on", "off"):
        raise Refused("INVALID_INPUT", 'salesforce must be "on" or "off"')
    instance.switch.set(on=body["salesforce"] == "on")
    return _json(views.state(instance))


async def _allowances(request: web.Request) -> web.Response:
    return _json(request.app[INSTANCE].usage.allowances)


async def _allow(request: web.Request) -> web.Response:
    """Sets the named allowances, for example {"daily_delivered_events": 100}; the others stay."""
    usage, body = request.app[INSTANCE].usage, await _body(request)
    try:
        usage.allowances = msgspec.convert(msgspec.to_builtins(usage.allowances) | body, Allowances)
    except msgspec.ValidationError as error:
        raise Refused("INVALID_INPUT", str(error)) from None
    return _json(usage.allowances)
