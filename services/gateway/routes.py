"""The public routes: each reads its request, says who may, and calls one thing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from schemas.events import order_update
from services.gateway import answers, bodies, callers, demands, eligible, problems
from services.gateway.answers import NewOrder, NewStatus
from services.gateway.books import PriceBook
from services.gateway.callers import Callers
from services.gateway.catalog import Catalog
from services.gateway.freshness import Demand, Receipt
from services.gateway.ladder import Answer, Ladder
from services.gateway.orders import Desk
from services.gateway.personal import Personal
from services.gateway.responses import CATALOG, PERSONAL, Responses
from services.gateway.shapes import ORDER
from services.gateway.statuses import Reports
from services.gateway.writes import Tokens

_NEW_ORDER = msgspec.json.Decoder(NewOrder)
_NEW_STATUS = msgspec.json.Decoder(NewStatus)
_ACCOUNT_PREFIX, _ORDER_PREFIX = "001", "801"
_LONGEST_NAME = 180

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    ladder: Ladder
    catalog: Catalog
    personal: Personal
    book: PriceBook
    desk: Desk
    reports: Reports
    callers: Callers
    tokens: Tokens
    responses: Responses

    async def products(self, request: web.Request) -> web.Response:
        item_class = request.query.get("class")
        want = self.catalog.products(None if item_class is None else _name(item_class), self.book.current())
        answer = await self.ladder.get(want, await self._public_demand(request))
        return self.responses.of(request, "products", answer, CATALOG)

    async def product(self, request: web.Request) -> web.Response:
        want = self.catalog.product(_name(request.match_info["sku"]), self.book.current())
        answer = await self.ladder.get(want, await self._public_demand(request))
        return self.responses.of(request, "product", _found(answer), CATALOG)

    async def prices(self, request: web.Request) -> web.Response:
        sku = request.query.get("sku")
        if sku is None:
            raise problems.bad_request("Say of which product: ?sku=")
        want = self.catalog.prices(_name(sku), self.book.current())
        answer = await self.ladder.get(want, await self._public_demand(request))
        return self.responses.of(request, "prices", _found(answer), CATALOG)

    async def internet_plans(self, request: web.Request) -> web.Response:
        account_id = await self.callers.customer(request)
        demand = self._demand(request, account_id)
        line = _found(await self.ladder.get(self.personal.eligibility(account_id), demand))
        verdict = eligible.verdict(line.entry.about)
        if verdict.reason is not None:
            body = _plans(line.entry.body, b"[]", verdict.reason)
            return self.responses.joined(request, "internet_plans", [line], body, PERSONAL)
        want = self.catalog.internet_plans(verdict.offerings, self.book.current())
        plans = await self.ladder.get(want, demand)
        body = _plans(line.entry.body, plans.entry.body, None)
        return self.responses.joined(request, "internet_plans", [line, plans], body, PERSONAL)

    async def eligibility(self, request: web.Request) -> web.Response:
        own = await self.callers.customer(request)
        account_id = callers.record_id(request, "account_id", _ACCOUNT_PREFIX)
        if account_id != own:
            raise problems.not_found()
        answer = await self.ladder.get(self.personal.eligibility(own), self._demand(request, own))
        return self.responses.of(request, "eligibility", _found(answer), PERSONAL)

    async def orders(self, request: web.Request) -> web.Response:
        own = await self.callers.customer(request)
        answer = await self.ladder.get(self.personal.orders(own), self._demand(request, own))
        return self.responses.of(request, "orders", answer, PERSONAL)

    async def order(self, request: web.Request) -> web.Response:
        own = await self.callers.customer(request)
        order_id = callers.record_id(request, "order_id", _ORDER_PREFIX)
        answer = _found(await self.ladder.get(self.personal.order(order_id), self._demand(request, own)))
        if answer.entry.about != own:
            raise problems.not_found()
        return self.responses.of(request, "order", answer, PERSONAL)

    async def place(self, request: web.Request) -> web.Response:
        own = await self.callers.customer(request, callers.ORDERS_WRITE)
        key = bodies.idempotency_key(request)
        if key is None:
            raise problems.bad_request(f"{bodies.IDEMPOTENCY_KEY} is needed: one for each order, the same for a retry")
        order = await bodies.of(request, _NEW_ORDER)
        outcome = await self.desk.place(own, key, order, self.book.current())
        token = self.tokens.sign(Receipt(ORDER, outcome.order_id, outcome.r0_ms))
        headers = {"Location": f"/orders/{outcome.order_id}", demands.WAIT_FOR: token}
        if outcome.replayed:
            headers["Idempotent-Replayed"] = "true"
        return self.responses.written(201, outcome.body, headers, outcome.r0_ms)

    async def report(self, request: web.Request) -> web.Response:
        await self.callers.service(request, callers.FULFILMENT)
        order_id = callers.record_id(request, "order_id", _ORDER_PREFIX)
        key = bodies.idempotency_key(request)
        said = await bodies.of(request, _NEW_STATUS)
        status = await self.reports.take(order_id, said, key)
        return self.responses.written(202, answers.encode(order_update(status)), {})

    async def _public_demand(self, request: web.Request) -> Demand:
        """Only a caller who demands something is asked who it is."""
        caller = await self.callers.name(request) if demands.is_made(request) else ""
        return self._demand(request, caller)

    def _demand(self, request: web.Request, caller: str) -> Demand:
        return demands.of(request, caller, self.tokens)


def _found(answer: Answer) -> Answer:
    if not answer.entry.found:
        raise problems.not_found()
    return answer


def _name(text: str) -> str:
    """A SKU or class as it may be asked for; what no record can have does not exist."""
    if not 0 < len(text) <= _LONGEST_NAME or "\x00" in text:
        raise problems.not_found()
    return text


def _plans(eligibility: bytes, plans: bytes, reason: str | None) -> bytes:
    """answers.InternetPlans from parts that are JSON already."""
    return b'{"eligibility":%b,"plans":%b,"reason":%b}' % (eligibility, plans, answers.encode(reason))
