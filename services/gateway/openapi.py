"""The public routes as data: served from it, and described by it in /openapi.json. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from services.gateway import answers

_REF = "#/components/schemas/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    where: str
    doc: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route.

    handler: name of the method of `Routes` that answers it
    status, answer: of success; body: what it takes
    scope: of the token it needs; "" for any customer's, None for none at all
    errors: further statuses it answers with
    """

    method: str
    path: str
    handler: str
    doc: str
    answer: type[Any]
    status: int = 200
    body: type[Any] | None = None
    parameters: Sequence[Parameter] = ()
    scope: str | None = None
    errors: Sequence[int] = ()


MAX_STALENESS = Parameter(
    name="Umbra-Max-Staleness",
    where="header",
    doc="Oldest acceptable answer in seconds; what is older is read from Salesforce, a few times a minute.",
)
WAIT_FOR = Parameter(
    name="Umbra-Wait-For", where="header", doc="Token of a write, as its answer gave it: the answer holds that write."
)
IF_NONE_MATCH = Parameter(name="If-None-Match", where="header", doc="ETag of an answer at hand: 304 while it is true.")
_READ = (MAX_STALENESS, WAIT_FOR, IF_NONE_MATCH)
SKU = Parameter(name="sku", where="path", doc="The product's SKU.", required=True)
ORDER_ID = Parameter(name="order_id", where="path", doc="Salesforce id, 15 or 18 characters.", required=True)
KEY = "Idempotency-Key"

ROUTES = (
    Route(
        method="GET",
        path="/catalog/products",
        handler="products",
        doc="Products on sale with their prices, of one class or of all.",
        answer=answers.Products,
        parameters=(Parameter(name="class", where="query", doc="Item class, for example Internet."), *_READ),
    ),
    Route(
        method="GET",
        path="/catalog/products/{sku}",
        handler="product",
        doc="One product on sale with its prices.",
        answer=answers.Product,
        parameters=(SKU, *_READ),
        errors=(404,),
    ),
    Route(
        method="GET",
        path="/catalog/prices",
        handler="prices",
        doc="Active prices of one product.",
        answer=answers.Prices,
        parameters=(Parameter(name="sku", where="query", doc="The product's SKU.", required=True), *_READ),
        errors=(404,),
    ),
    Route(
        method="GET",
        path="/catalog/plans/internet",
        handler="internet_plans",
        doc="The caller's eligibility and the internet plans that it admits.",
        answer=answers.InternetPlans,
        parameters=_READ,
        scope="",
        errors=(404,),
    ),
    Route(
        method="GET",
        path="/accounts/{account_id}/eligibility",
        handler="eligibility",
        doc="What the caller's line can carry.",
        answer=answers.Eligibility,
        parameters=(Parameter(name="account_id", where="path", doc="The caller's own account.", required=True), *_READ),
        scope="",
        errors=(404,),
    ),
    Route(
        method="GET",
        path="/orders",
        handler="orders",
        doc="The caller's newest 500 orders.",
        answer=answers.Orders,
        parameters=_READ,
        scope="",
    ),
    Route(
        method="GET",
        path="/orders/{order_id}",
        handler="order",
        doc="One of the caller's orders.",
        answer=answers.Order,
        parameters=(ORDER_ID, *_READ),
        scope="",
        errors=(404,),
    ),
    Route(
        method="POST",
        path="/orders",
        handler="place",
        doc="Place an order. The answer's Umbra-Wait-For makes the next read hold it.",
        answer=answers.Order,
        status=201,
        body=answers.NewOrder,
        parameters=(
            Parameter(name=KEY, where="header", doc="One for each order, the same for its retries.", required=True),
        ),
        scope="orders:write",
        errors=(415, 422),
    ),
    Route(
        method="POST",
        path="/orders/{order_id}/status",
        handler="report",
        doc="Report a status, as the fulfilment side.",
        answer=answers.StatusTaken,
        status=202,
        body=answers.NewStatus,
        parameters=(ORDER_ID, Parameter(name=KEY, where="header", doc="Makes a repeated report the same one.")),
        scope="fulfilment",
        errors=(404, 409, 415, 422),
    ),
)


def document(routes: Sequence[Route] = ROUTES) -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    types = [each for route in routes for each in (route.answer, route.body) if each is not None]
    schemas, components = msgspec.json.schema_components([*types, answers.ProblemDocument], ref_template=_REF)
    by_type: dict[type[Any], Any] = dict(zip([*types, answers.ProblemDocument], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Umbra gateway", "version": "1", "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-umbra"},
            },
        },
    }


_ABOUT = (
    "Every answer says where it came from (Umbra-Source: process, valkey, shadow, live, stale), when it was "
    "certainly true (Umbra-As-Of) and how old that makes it in seconds (Age)."
)


def _operation(route: Route, by_type: dict[type[Any], Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.handler,
        "summary": route.doc,
        "parameters": [_parameter(each) for each in route.parameters],
        "responses": _responses(route, by_type),
    }
    if route.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": by_type[route.body]}}}
    if route.scope is not None:
        made["security"] = [{"bearer": []}, {"cookie": []}]
        made["description"] = f"Scope: {route.scope}." if route.scope else "Needs a customer's token."
    return made


def _parameter(each: Parameter) -> dict[str, Any]:
    kind = "number" if each is MAX_STALENESS else "string"
    return {
        "name": each.name,
        "in": each.where,
        "required": each.required,
        "description": each.doc,
        "schema": {"type": kind},
    }


def _responses(route: Route, by_type: dict[type[Any], Any]) -> dict[str, Any]:
    good = {"description": "Done", "content": {"application/json": {"schema": by_type[route.answer]}}}
    made: dict[str, Any] = {str(route.status): good}
    if IF_NONE_MATCH in route.parameters:
        made["304"] = {"description": "What you have is still true"}
    errors = {400, 500, 503, *route.errors}
    errors |= {429} if MAX_STALENESS in route.parameters else set()
    errors |= {401, 403} if route.scope is not None else set()
    problem = {"application/problem+json": {"schema": by_type[answers.ProblemDocument]}}
    for status in sorted(errors):
        made[str(status)] = {"description": "A problem", "content": problem}
    return made
