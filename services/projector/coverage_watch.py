"""The coverage ledger from outside: what is not covered becomes metrics, and old history is dropped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.kernel.clock import Clock
from services.projector.link import statements
from services.projector.metrics import Metrics

_SQL = statements("ledger.sql")
_DROP_SECONDS = 3600.0


class CoverageWatch:
    """kept_for: how long history stays; not less than the log keeps the watermarks, or a replay would reopen holes"""

    def __init__(self, pool: Any, metrics: Metrics, clock: Clock, kept_for: timedelta) -> None:
        self._pool = pool
        self._metrics = metrics
        self._clock = clock
        self._kept_for = kept_for
        self._dropped: float | None = None

    async def look(self) -> None:
        """Raises what Postgres raises."""
        await self._lag()
        await self._holes()
        await self._repairs()
        if self._dropped is None or self._clock.monotonic() - self._dropped > _DROP_SECONDS:
            await self.drop()
            self._dropped = self._clock.monotonic()

    async def drop(self) -> None:
        await self._pool.execute(_SQL["spans_drop"], self._kept_for)
        await self._pool.execute(_SQL["holes_drop"], self._kept_for)

    async def _lag(self) -> None:
        for row in await self._pool.fetch(_SQL["coverage_lag"]):
            self._metrics.coverage_lag.labels(row["object"], "observed").set(row["observed"])
            self._metrics.coverage_lag.labels(row["object"], "proven").set(row["proven"])

    async def _holes(self) -> None:
        rows = await self._pool.fetch(_SQL["holes_count"])
        self._metrics.holes.clear()
        self._metrics.hole_age.clear()
        for row in rows:
            self._metrics.holes.labels(row["object"], row["kind"]).set(row["holes"])
            self._metrics.hole_age.labels(row["object"], row["kind"]).set(row["oldest"])

    async def _repairs(self) -> None:
        rows = await self._pool.fetch(_SQL["repairs_count"])
        self._metrics.repairs.clear()
        for row in rows:
            self._metrics.repairs.labels(row["object"], row["reason"]).set(row["records"])
