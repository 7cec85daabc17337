"""Looks at the projection from outside it every few seconds: lag, backlog, outbox, hidden, coverage; and health."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from services.kernel.clock import Clock
from services.projector.coverage_watch import CoverageWatch
from services.projector.engine.ledger import Ledger
from services.projector.link import statements
from services.projector.metrics import Metrics
from services.projector.work import Work

_SQL = statements("engine.sql")
_EVERY_SECONDS = 5.0
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
STUCK_SECONDS = 300.0
"""With records waiting and Postgres answering, a batch every few minutes is the least of a living worker."""


class Monitor:
    """`reachable` is whether Postgres answered the last time it was asked."""

    def __init__(
        self, pool: Any, ledger: Ledger, work: Work, metrics: Metrics, clock: Clock, coverage: CoverageWatch
    ) -> None:
        self._pool = pool
        self._coverage = coverage
        self._ledger = ledger
        self._work = work
        self._metrics = metrics
        self._clock = clock
        self.reachable = True

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_SECONDS)

    async def look(self) -> None:
        for topic, records in self._ledger.backlog().items():
            self._metrics.backlog.labels(topic).set(records)
        try:
            await self._ask_postgres()
            self.reachable = True
        except _AWAY:
            self.reachable = False

    async def _ask_postgres(self) -> None:
        for row in await self._pool.fetch(_SQL["table_lag"]):
            self._metrics.lag.labels(row["name"]).set(row["lag"] or 0.0)
        self._metrics.outbox_age.set(await self._pool.fetchval(_SQL["outbox_age"]))
        rows = await self._pool.fetch(_SQL["hidden_count"])
        self._metrics.hidden.clear()
        self._metrics.hidden_age.clear()
        for row in rows:
            self._metrics.hidden.labels(row["object"], row["reason"]).set(row["records"])
            self._metrics.hidden_age.labels(row["object"], row["reason"]).set(row["oldest"])
        await self._coverage.look()

    async def postgres(self) -> str | None:
        return None if self.reachable else "Postgres does not answer"

    async def progress(self) -> str | None:
        """Fails when records wait, Postgres answers, and no batch has ended for minutes."""
        waited = self._clock.monotonic() - self._work.last_done
        waiting = sum(self._ledger.backlog().values())
        if self.reachable and waiting and waited > STUCK_SECONDS:
            return f"{waiting} records wait and no batch ended for {waited:.0f} s"
        if not waiting:
            self._work.last_done = self._clock.monotonic()
        return None
