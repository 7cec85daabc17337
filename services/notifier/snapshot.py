"""What Postgres knows of an order and of the log, read in one statement each, so that it is of one moment."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from schemas import events, topics
from schemas.events import OrderStatus
from schemas.mapping import StatusMapping
from schemas.versions import LOWEST_STATUS, StatusVersion
from services.kernel import postgres
from services.kernel.errors import Retryable
from services.notifier import sse
from services.notifier.account_verdict import AccountSnapshot
from services.notifier.content import Content
from services.notifier.verdict import Snapshot, State

log = logging.getLogger(__name__)

_QUERIES = Path(__file__).with_name("queries.sql")
PATIENCE_SECONDS = 3.0
"""A client that waits longer is better told to come again."""


AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""Whatever keeps an answer from coming, a missing table included: the client is to come again, never to stop."""


MOST_ORDERS = 500
"""Orders in the snapshot of an account, the most recently changed ones."""


class PostgresAway(Retryable):
    """Postgres did not answer in time."""


class Snapshots:
    """Reads through a pool; every call raises PostgresAway when the server is away or slow."""

    def __init__(self, pool: Any, statuses: StatusMapping, topic: str = topics.ORDER_STATUS.name) -> None:
        self._pool = pool
        self._statuses = statuses
        self._topic = topic
        self._sql = postgres.queries(_QUERIES)

    async def epoch(self) -> str | None:
        """The topic's epoch; None before the topics have been made."""
        rows = await self._fetch("epoch", self._topic)
        return str(rows[0]["epoch"]) if rows else None

    async def order(self, order_id: str, partition: int, epoch: str) -> Snapshot:
        row = (await self._fetch("order_state", order_id, self._topic, partition, epoch))[0]
        return Snapshot(self._state(order_id, row), row["account_id"], row["next_offset"] or 0)

    async def positions(self, epoch: str) -> dict[int, int]:
        rows = await self._fetch("positions", self._topic, epoch)
        return {row["partition"]: row["next_offset"] for row in rows}

    async def account(self, account_id: str, partitions: int, epoch: str) -> AccountSnapshot:
        rows = await self._fetch("account_state", account_id, self._topic, epoch, MOST_ORDERS)
        found = {row["order_id"]: self._state(row["order_id"], row) for row in rows if row["order_id"] is not None}
        positions = rows[0]["positions"]
        return AccountSnapshot(
            {order: state for order, state in found.items() if state is not None},
            tuple(positions.get(str(partition), 0) for partition in range(partitions)),
        )

    async def owners(self, order_ids: list[str]) -> dict[str, str]:
        rows = await self._fetch("owners", order_ids)
        return {row["order_id"]: row["account_id"] for row in rows}

    async def _fetch(self, name: str, *arguments: object) -> list[Any]:
        try:
            rows: list[Any] = await self._pool.fetch(self._sql[name], *arguments, timeout=PATIENCE_SECONDS)
        except AWAY as error:
            log.warning("Postgres did not answer", extra={"action": "postgres_away", "why": type(error).__name__})
            raise PostgresAway(type(error).__name__) from error
        return rows

    def _state(self, order_id: str, row: Any) -> State | None:
        """The reported status; where the log has none, Salesforce's own with the lowest version."""
        if row["version"] is not None:
            return _state(
                order_id,
                row["status"],
                row["reason"],
                row["message"],
                row["terminal"],
                row["source"],
                row["occurred_at"],
                row["version"],
            )
        if row["row_status"] is None:
            return None
        status, reason = row["row_status"], row["row_reason"]
        message, terminal = self._statuses.message(status, reason), status in self._statuses.terminal
        return _state(
            order_id,
            status,
            reason,
            message,
            terminal,
            "salesforce",
            row["row_updated_at"],
            row["row_version"] or LOWEST_STATUS,
        )


def _state(
    order_id: str,
    status: str,
    reason: str | None,
    message: str | None,
    terminal: bool,
    source: Any,
    at: datetime,
    version: str,
) -> State:
    shown = OrderStatus(
        id="",
        order_id=order_id,
        status=status,
        reason=reason,
        message=message,
        terminal=terminal,
        source=source,
        occurred_at=at,
        version=StatusVersion(version),
    )
    return State(shown.version, Content.of(status, reason), terminal, sse.encode(events.order_update(shown)))
