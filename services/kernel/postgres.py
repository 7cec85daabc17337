"""Postgres: pools, named queries from .sql files, and which errors pass by themselves."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from services.kernel.settings import PostgresSettings

_NAME = re.compile(r"^-- name: (?P<name>\w+)(?:: .*)?$", re.MULTILINE)


def queries(path: Path) -> dict[str, str]:
    """The named queries of a .sql file: each begins with a line `-- name: NAME: purpose`."""
    text = path.read_text(encoding="utf-8")
    marks = list(_NAME.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return {mark["name"]: text[mark.end() : end].strip().rstrip(";") for mark, end in zip(marks, ends, strict=True)}


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_encode, decoder=json.loads)


def _encode(value: Any) -> str:
    """jsonb parameters may be given as ready JSON text or as Python values."""
    return value if isinstance(value, str) else json.dumps(value)


@asynccontextmanager
async def pool(settings: PostgresSettings, *, least: int = 1, most: int = 8, **options: Any) -> AsyncIterator[Any]:
    """A connection pool. Connecting waits for nothing: an unreachable server raises at once."""
    made = await asyncpg.create_pool(
        settings.dsn, min_size=least, max_size=most, init=_prepare, timeout=5, command_timeout=30, **options
    )
    try:
        yield made
    finally:
        made.terminate()


_PASSING = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # A connection that broke between two steps of one query may raise this instead of its loss.
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # Full disk, too many connections, out of memory: somebody will see to it.
    asyncpg.InsufficientResourcesError,
    # The old primary after a failover, until the address leads to the new one.
    asyncpg.ReadOnlySQLTransactionError,
    # A migration changed what a prepared statement answers: a new connection prepares anew.
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may succeed later: the server is away, busy, or gave way to another.

    asyncpg raises a bad argument as an InterfaceError that is also a ValueError: that one never passes.
    """
    return isinstance(error, _PASSING) and not isinstance(error, ValueError)
