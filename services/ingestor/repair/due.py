"""What has to be read again, as the projector sees it: the to-do list is a view in Postgres, so no process owns it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from schemas import topics
from schemas.versions import Version
from services.kernel import postgres
from services.kernel.errors import Retryable

MOST_RECORDS = 10_000
"""Records of one object in one look, the oldest marks first; past it a full read is cheaper than reading them by id."""

_QUERIES = Path(__file__).with_name("due.sql")
_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Due:
    """A record to read. mark: version above which a read has to lie; None where any read will do."""

    object: str
    record_id: str
    reason: str
    mark: Version | None


@dataclass(frozen=True, slots=True)
class Hole:
    """A range of an object of which nothing is known; None: since ever, or an end that nobody knows."""

    object: str
    id: str
    since: datetime | None
    until: datetime | None

    @property
    def kind(self) -> str:
        """Why it was opened: first, replay, undecodable, overflow, wildcard, unnamed."""
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Todo:
    """By object."""

    records: Mapping[str, Sequence[Due]] = field(default_factory=dict)
    holes: Mapping[str, Sequence[Hole]] = field(default_factory=dict)


async def read(dsn: str, most: int = MOST_RECORDS) -> Todo:
    """Raises Retryable where Postgres is away: repairs wait then, and the stream goes on."""
    try:
        records, holes = await _rows(dsn, most)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Retryable(f"what is due is not known: {type(error).__name__}") from error
    return Todo(_by_object(_folded(records)), _by_object(Hole(*row) for row in holes))


async def _rows(dsn: str, most: int) -> tuple[list[asyncpg.Record], list[asyncpg.Record]]:
    sql = postgres.queries(_QUERIES)
    connection = await asyncpg.connect(dsn, timeout=_SECONDS, command_timeout=_SECONDS)
    try:
        records = await connection.fetch(sql["due_records"], [*topics.RECORD_TOPICS], most)
        return records, await connection.fetch(sql["due_holes"])
    finally:
        await connection.close()


def _folded(rows: Iterable[Any]) -> Iterable[Due]:
    """A record that is dirty and incomplete is one read; its mark, which comes after, decides when."""
    every = [Due(*row) for row in rows]
    return {(due.object, due.record_id): due for due in every}.values()


def _by_object(rows: Iterable[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.object, []).append(row)
    return found
