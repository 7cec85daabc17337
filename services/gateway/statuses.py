"""POST /orders/{id}/status: the fulfilment side reports a status, which is in the log when the answer comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

from schemas import versions
from schemas.events import OrderStatus
from schemas.mapping import Mapping as FieldMapping
from schemas.mapping import StatusMapping
from services.gateway import problems
from services.gateway.answers import NewStatus
from services.gateway.log import Log, LogAway
from services.gateway.metrics import Metrics
from services.gateway.postgres import Database, PostgresAway
from services.gateway.problems import Problem
from services.gateway.shapes import ORDER
from services.kernel.clock import Clock
from services.salesforce.calls import CallClass, within
from services.salesforce.errors import SalesforceError
from services.salesforce.rest import Rest

AHEAD = timedelta(seconds=2)
"""How far a report may lie in the future: beyond it a fast clock would hide what happens next."""


def reported(
    mapping: StatusMapping, order_id: str, said: NewStatus, key: str | None, received_at: datetime
) -> OrderStatus:
    """The status that a report stands for. A repeated one has the same id, and so the same version. Pure."""
    occurred = min(said.occurred_at or received_at, received_at + AHEAD)
    at_ms = versions.millis(occurred)
    told = key if key is not None else f"{said.status}|{said.reason}|{at_ms}"
    event_id = blake2b(f"{order_id}|{told}".encode(), digest_size=16).hexdigest()
    terminal = said.status in mapping.terminal
    return OrderStatus(
        id=event_id,
        order_id=order_id,
        status=said.status,
        terminal=terminal,
        reason=said.reason,
        message=mapping.message(said.status, said.reason),
        occurred_at=versions.moment(at_ms),
        source="fulfilment",
        version=versions.status_version(at_ms, "fulfilment", 0, 0, terminal, event_id),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    rest: Rest
    database: Database
    log: Log
    mapping: FieldMapping
    clock: Clock
    metrics: Metrics
    live_seconds: float

    async def take(self, order_id: str, said: NewStatus, key: str | None) -> OrderStatus:
        """Write a report to the log. Raises Problem: 404, 409, 422, 503."""
        meanings = self.mapping.order_status
        if said.status not in meanings.messages and said.status not in meanings.terminal:
            known = sorted({*meanings.messages, *meanings.terminal})
            raise Problem(422, "unknown-status", "There is no such status", more={"statuses": known})
        status = reported(meanings, order_id, said, key, self.clock.now())
        await self._check(order_id, status)
        try:
            await self.log.send(status)
        except LogAway as error:
            raise problems.unavailable("The status cannot be written now; report it again.", 2) from error
        self.metrics.statuses.labels("taken").inc()
        return status

    async def _check(self, order_id: str, status: OrderStatus) -> None:
        """The order exists, and has not ended after what is reported."""
        try:
            row = await self.database.row("order_known", order_id)
        except PostgresAway:
            row = None
        if row is not None and row["terminal_version"] is not None and status.version < row["terminal_version"]:
            self.metrics.statuses.labels("late").inc()
            more = {"status": row["status"]}
            raise Problem(409, "order-ended", "The order had ended when this happened", more=more)
        if row is None or not row["known"]:
            await self._check_live(order_id)

    async def _check_live(self, order_id: str) -> None:
        deadline = within(self.live_seconds)
        try:
            read = await self.rest.retrieve(
                ORDER, [order_id], ("Id",), call_class=CallClass.INTERACTIVE, deadline=deadline
            )
        except SalesforceError as error:
            raise problems.unavailable("Whether the order exists cannot be checked now.", error.retry_after) from error
        if read.missing:
            self.metrics.statuses.labels("unknown_order").inc()
            raise problems.not_found()
