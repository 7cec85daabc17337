"""Forgets deleted records, a few at a time, once nothing is left that could bring them back.

A tombstone outlives every record of the log that is older than it, and every read that began before the deletion:
the log's retention and the longest job. In the worker and not a command: nobody has to remember it, and nothing but
the size of a table depends on it. Several workers never forget the same ones.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import asyncpg

from schemas import topics
from services.kernel import postgres
from services.projector.link import statements
from services.projector.metrics import Metrics

log = logging.getLogger(__name__)

_SQL = statements("tombstones.sql")
_SLICE = 500
_EVERY_SECONDS = 600.0
_REST_SECONDS = 1.0
"""Between two slices: at most 500 a second, which no worker notices."""


class Tombstones:
    """Owned by one task. kept_for: since the last change of the row, by Postgres's clock"""

    def __init__(self, pool: Any, metrics: Metrics, kept_for: timedelta) -> None:
        self._pool = pool
        self._metrics = metrics
        self._kept_for = kept_for

    async def run(self) -> None:
        while True:
            try:
                await self.forget()
                await self.count()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if not postgres.is_transient(error):
                    raise
            await asyncio.sleep(_EVERY_SECONDS)

    async def forget(self, rest_seconds: float = _REST_SECONDS) -> int:
        """Forget all that are old enough; how many."""
        total = 0
        for name in topics.RECORD_TOPICS:
            while gone := await self._pool.fetchval(_SQL["tombstones_forget"], name, self._kept_for, _SLICE):
                self._metrics.forgotten.labels(name).inc(gone)
                total += gone
                await asyncio.sleep(rest_seconds)
        if total:
            log.info("deleted records are forgotten", extra={"action": "forget", "records": total})
        return total

    async def count(self) -> None:
        found = {row["object"]: row["records"] for row in await self._pool.fetch(_SQL["tombstones_count"])}
        for name in topics.RECORD_TOPICS:
            self._metrics.tombstones.labels(name).set(found.get(name, 0))
