"""Postgres as the gateway sees it: read-only, quick or not at all, and left alone for a moment while it is away."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import asyncpg

from services.gateway.metrics import Metrics
from services.kernel.clock import Clock
from services.kernel.errors import Retryable
from services.kernel.postgres import is_transient, queries

log = logging.getLogger(__name__)

_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
QUIET_SECONDS = 0.5
_QUERY_SECONDS = 3.0
_LARGE_SECONDS = 15.0
"""Of a whole catalog, on a machine that does other things too."""


class PostgresAway(Retryable):
    """The shadow cannot be read now."""


class Database:
    """Named queries of `shadow.sql`. The pool must reach the primary: LSNs of fills are taken there."""

    def __init__(self, pool: Any, clock: Clock, metrics: Metrics) -> None:
        self._pool = pool
        self._clock = clock
        self._metrics = metrics
        self._sql = queries(Path(__file__).with_name("shadow.sql"))
        self._quiet_until = 0.0

    @property
    def away(self) -> bool:
        return self._clock.monotonic() < self._quiet_until

    async def rows(self, name: str, *args: object, large: bool = False) -> list[Any]:
        """Raises PostgresAway."""
        if self.away:
            raise PostgresAway("postgres was away a moment ago")
        try:
            async with asyncio.timeout(_LARGE_SECONDS if large else _QUERY_SECONDS):
                return await self._fetch(self._sql[name], args)
        except (*_FAILURES, OSError, TimeoutError) as error:
            if not is_transient(error):
                raise
            self._quiet_until = self._clock.monotonic() + QUIET_SECONDS
            self._metrics.away.labels("postgres").inc()
            log.warning("postgres is away", extra={"action": "postgres_away", "why": type(error).__name__})
            raise PostgresAway("postgres is away") from error

    async def row(self, name: str, *args: object) -> Any:
        """The only row of a query that always has one."""
        return (await self.rows(name, *args))[0]

    async def _fetch(self, sql: str, args: tuple[object, ...]) -> list[Any]:
        try:
            found: list[Any] = await self._pool.fetch(sql, *args)
        except asyncpg.PostgresConnectionError:
            # A pooled connection whose server was restarted: a fresh one may do.
            found = await self._pool.fetch(sql, *args)
        return found
