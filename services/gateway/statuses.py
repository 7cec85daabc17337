"""POST /orders/{id}/status: the fulfilment side reports a status, which is in the log when the answer comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis

from schemas import versions
from schemas.events import OrderStatus
from schemas.mapping import Mapping as FieldMapping
from schemas.mapping import StatusMapping
from services.gateway import answers, problems
from services.gateway.answers import NewStatus
from services.gateway.log import Log, LogAway
from services.gateway.metrics import Metrics
from services.gateway.postgres import Database, PostgresAway
from services.gateway.problems import Problem
from services.gateway.shapes import ORDER
from services.kernel.clock import Clock
from services.kernel.valkey import AWAY
from services.salesforce.calls import CallClass, within
from services.salesforce.errors import SalesforceError
from services.salesforce.rest import Rest

AHEAD = timedelta(seconds=2)
"""How far a report may lie in the future: beyond it a fast clock would hide what happens next."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED_SECONDS = 24 * 3600
_LOG_SECONDS = 2.0


def reported(
    mapping: StatusMapping, order_id: str, said: NewStatus, key: str | None, received_at: datetime
) -> OrderStatus:
    """The status that a report stands for: the same for a report repeated with its first receipt. Pure."""
    occurred = min(said.occurred_at or received_at, received_at + AHEAD)
    at_ms = versions.millis(occurred)
    # With its content: two contents under one key would be two meanings of one version.
    told = f"{said.status}|{said.reason}|{at_ms if key is None else key}"
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
    redis: Redis
    mapping: FieldMapping
    clock: Clock
    metrics: Metrics
    live_seconds: float

    async def take(self, order_id: str, said: NewStatus, key: str | None) -> OrderStatus:
        """Write a report to the log. Raises Problem: 400, 404, 409, 422, 503."""
        meanings = self.mapping.order_status
        if said.status not in meanings.messages and said.status not in meanings.terminal:
            known = sorted({*meanings.messages, *meanings.terminal})
            raise Problem(422, "unknown-status", "There is no such status", more={"statuses": known})
        if said.occurred_at is not None and said.occurred_at < _EPOCH:
            raise problems.bad_request("occurredAt lies before 1970")
        status = reported(meanings, order_id, said, key, await self._received(order_id, said, key))
        await self._check(order_id, status)
        try:
            await self.log.comes_up(_LOG_SECONDS)
            await self.log.send(status)
        except LogAway as error:
            raise problems.unavailable("The status cannot be written now; report it again.", 2) from error
        self.metrics.statuses.labels("taken").inc()
        return status

    async def _received(self, order_id: str, said: NewStatus, key: str | None) -> datetime:
        """When a report first came: repeated late, it must not stand above what happened since."""
        now = self.clock.now()
        if key is None:
            return now
        digest = blake2b(answers.encode(said), digest_size=16).hexdigest()
        name = f"umbra:reported:{blake2b(f'{order_id}|{key}'.encode(), digest_size=16).hexdigest()}"
        try:
            found: Any = await self.redis.set(
                name, f"{versions.millis(now)}|{digest}", ex=_REMEMBERED_SECONDS, nx=True, get=True
            )
        except AWAY:
            return now
        if found is None:
            return now
        at, _, first = found.decode().partition("|")
        if first != digest:
            raise Problem(422, "key-reused", "The Idempotency-Key was used before", "It stands for another report.")
        return versions.moment(int(at))

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
