"""One connection to Postgres with every statement of the projector prepared before it is needed.

The first execution of an unprepared statement costs tens of milliseconds, which the first change would wait for.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

from services.kernel import postgres

_SQL = Path(__file__).parent / "sql"
APPLY = ("state.sql", "catalog.sql", "personal.sql", "offsets.sql", "coverage.sql")


@cache
def statements(*files: str) -> dict[str, str]:
    """The named statements of some files of `sql/`."""
    return {name: sql for file in files for name, sql in postgres.queries(_SQL / file).items()}


class Link:
    """A connection and its prepared statements; good for one task at a time."""

    def __init__(self, connection: asyncpg.Connection, prepared: dict[str, Any]) -> None:
        self.connection = connection
        self._prepared = prepared

    async def rows(self, statement: str, *arguments: object) -> list[Any]:
        """Run a statement by its name."""
        found: list[Any] = await self._prepared[statement].fetch(*arguments)
        return found

    @property
    def closed(self) -> bool:
        return bool(self.connection.is_closed())


async def prepare(connection: asyncpg.Connection, *files: str) -> Link:
    """Prepare the statements of `files`, by default all that applying a batch takes."""
    named = statements(*(files or APPLY))
    return Link(connection, {name: await connection.prepare(sql) for name, sql in named.items()})


async def connect(dsn: str, *files: str, command_timeout: float = 30.0, schema: str | None = None) -> Link:
    """Open a connection. A server that is away raises at once.

    schema: where tables are looked for, and nowhere else
    """
    server: dict[str, str] = {} if schema is None else {"search_path": schema}
    connection = await asyncpg.connect(dsn, timeout=5, command_timeout=command_timeout, server_settings=server)
    try:
        return await prepare(connection, *files)
    except BaseException:
        connection.terminate()
        raise
