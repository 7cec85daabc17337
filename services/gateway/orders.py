"""POST /orders: one live insert under a unique external id, acknowledged only when its Draft status is in the log.

Salesforce is the truth of what was placed; Valkey only shortens the way to the same answer. Nothing is pretended:
an outcome that is not known is said to be not known, and the same key finds it out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import structs
from redis.asyncio import Redis

from schemas.mapping import Mapping as FieldMapping
from services.gateway import answers, ordering, problems
from services.gateway.answers import NewOrder
from services.gateway.flights import Flights
from services.gateway.log import Log, LogAway
from services.gateway.metrics import Metrics
from services.gateway.offers import Offers
from services.gateway.ordering import Identity, NotOffered, Placed, Priced
from services.gateway.problems import Problem
from services.gateway.shapes import Shapes
from services.kernel.clock import Clock
from services.kernel.valkey import AWAY
from services.salesforce.calls import CallClass, within
from services.salesforce.errors import BadRequest, Duplicate, NotFound, SalesforceError
from services.salesforce.rest import Rest

log = logging.getLogger(__name__)

_REMEMBERED_SECONDS = 24 * 3600
_LOG_SECONDS = 2.0
"""How long an order waits for the log to be there, before anything is done in Salesforce."""


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """An order as it was answered. replayed: it was placed by an earlier request with the same key"""

    body: bytes
    order_id: str
    r0_ms: int
    digest: str
    replayed: bool = False


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Outcome).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    rest: Rest
    offers: Offers
    log: Log
    redis: Redis
    mapping: FieldMapping
    shapes: Shapes
    clock: Clock
    metrics: Metrics
    write_seconds: float
    placing: Flights[Outcome] = field(default_factory=Flights)

    async def close(self) -> None:
        await self.placing.close()

    async def place(self, account_id: str, key: str, order: NewOrder, book: str | None) -> Outcome:
        """The order, placed now or before. Raises Problem."""
        who = ordering.identity(account_id, key, order)
        try:
            # In a task of its own: a caller who goes away does not leave an order half told.
            outcome = await self.placing.run(
                who.external,
                who.digest.encode(),
                lambda: self._place(who, order, book, within(self.write_seconds)),
            )
        except Problem as problem:
            self.metrics.orders.labels(problem.kind).inc()
            raise
        self.metrics.orders.labels("replayed" if outcome.replayed else "placed").inc()
        return outcome

    async def _place(self, who: Identity, order: NewOrder, book: str | None, deadline: float) -> Outcome:
        remembered = await self._remembered(who.external)
        if remembered is not None:
            return _same(who, remembered)
        try:
            price = await self._priced(order, book, deadline)
        except NotOffered as error:
            # What is no longer sold may have been ordered while it was.
            return await self._told(who, await self._placed_before(who, deadline, error), replayed=True)
        return await self._insert(who, order, price, deadline)

    async def _insert(self, who: Identity, order: NewOrder, price: Priced, deadline: float) -> Outcome:
        if not await self.log.comes_up(_LOG_SECONDS):
            raise problems.unavailable("Orders cannot be followed now; nothing was ordered.")
        today = self.clock.now().date()
        parts = ordering.parts(self.mapping, who, order.currency, price, today)
        try:
            made = await self.rest.composite(parts, call_class=CallClass.WRITE, deadline=deadline)
        except Duplicate as error:
            return await self._told(who, await self._placed_before(who, deadline, error), replayed=True)
        except BadRequest as error:
            raise _refused(error) from error
        except SalesforceError as error:
            if not error.unknown_outcome:
                raise _away(error) from error
            return await self._found_out(who, error)
        lines = ordering.placed_lines(price)
        record = made.results["read"].body
        placed = ordering.placed(self.mapping, self.shapes, who, record, lines, made.r0_ms)
        return await self._told(who, placed, replayed=False)

    async def _found_out(self, who: Identity, cause: SalesforceError) -> Outcome:
        """After a write whose answer was lost: the order, if it is there already."""
        try:
            existing = await self._look_up(who, within(self.write_seconds / 2))
        except SalesforceError:
            existing = None
        if existing is None:
            raise _unknown("Salesforce did not answer; the order may have been placed.") from cause
        return await self._told(who, existing, replayed=False)

    async def _placed_before(self, who: Identity, deadline: float, cause: NotOffered | Duplicate) -> Placed:
        try:
            existing = await self._look_up(who, deadline)
        except SalesforceError as error:
            raise _unknown("Whether this was ordered before cannot be asked now.", error.retry_after) from error
        if existing is not None:
            return existing
        if isinstance(cause, NotOffered):
            raise _not_offered(cause)
        raise _unknown("Salesforce holds an order under this key, and does not show it yet.") from cause

    async def _look_up(self, who: Identity, deadline: float) -> Placed | None:
        parts = ordering.look_up(self.mapping, who.external)
        try:
            read = await self.rest.composite(parts, call_class=CallClass.WRITE, deadline=deadline)
        except NotFound:
            return None
        record = read.results["order"].body
        if record.get(ordering.HASH_FIELD) != who.digest:
            raise _key_reused()
        lines = ordering.found_lines(self.mapping, read.results["lines"].body["records"])
        return ordering.placed(self.mapping, self.shapes, who, record, lines, read.r0_ms)

    async def _told(self, who: Identity, placed: Placed, *, replayed: bool) -> Outcome:
        """Tell the log of the order; its row appears by the change, its stream can be opened by the status."""
        try:
            await self.log.send(placed.change, placed.draft)
        except LogAway as error:
            raise _unknown("The order was placed, but its status cannot be followed yet.") from error
        outcome = Outcome(answers.encode(placed.order), placed.order.order_id, placed.r0_ms, who.digest, replayed)
        await self._remember(who.external, outcome)
        return outcome

    async def _priced(self, order: NewOrder, book: str | None, deadline: float) -> Priced:
        skus = sorted({line.sku for line in order.lines})
        try:
            return ordering.priced(order, await self.offers.of(skus, order.currency, book, deadline))
        except SalesforceError as error:
            raise _away(error) from error

    async def _remembered(self, external: str) -> Outcome | None:
        try:
            found: Any = await self.redis.get(_key(external))
        except AWAY:
            return None
        return None if found is None else _DECODE(found)

    async def _remember(self, external: str, outcome: Outcome) -> None:
        try:
            await self.redis.set(_key(external), _ENCODE(outcome), ex=_REMEMBERED_SECONDS)
        except AWAY as error:
            log.info("an order is not remembered", extra={"action": "order_unkept", "why": type(error).__name__})


def _key(external: str) -> str:
    return f"umbra:placed:{external}"


def _same(who: Identity, remembered: Outcome) -> Outcome:
    if remembered.digest != who.digest:
        raise _key_reused()
    return structs.replace(remembered, replayed=True)


def _key_reused() -> Problem:
    detail = "Another order was placed under this Idempotency-Key."
    return Problem(422, "key-reused", "The Idempotency-Key was used before", detail)


def _not_offered(error: NotOffered) -> Problem:
    more = {"skus": error.skus, "reason": error.reason}
    return Problem(422, "not-offered", "This cannot be ordered", "Not every line has one price now.", more=more)


def _refused(error: BadRequest) -> Problem:
    """Codes only: Salesforce's sentences may hold values of records."""
    return Problem(422, "rejected", "Salesforce does not take this order", more={"codes": sorted(set(error.codes))})


def _away(error: SalesforceError) -> Problem:
    return problems.unavailable("Orders cannot be placed now; nothing was ordered.", error.retry_after)


def _unknown(detail: str, retry_after: float | None = None) -> Problem:
    title = "Whether the order was placed is not known"
    again = f"{detail} Send the same request with the same key again."
    return Problem(503, "unknown-outcome", title, again, headers={"Retry-After": problems.seconds(retry_after or 5)})
