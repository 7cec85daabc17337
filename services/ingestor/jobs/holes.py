"""Which open holes a full read closes: those that it is certain to have seen to their end."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from schemas import versions
from services.ingestor import openings
from services.kernel import postgres

log = logging.getLogger(__name__)

_QUERIES = Path(__file__).with_name("holes.sql")
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Hole:
    """An open range of an object; `until` None where nobody knows its end, `since` None: since ever."""

    id: str
    until: datetime | None
    since: datetime | None = None


def closable(hole: Hole, r0_ms: int, margin_ms: int) -> bool:
    """Whether a full read that began at r0_ms has everything that a hole may have swallowed.

    What follows a hole may have been delivered, and then competes with the read by version: the read's has to lie
    beyond the hole's end. After a topic's first start nothing that was delivered lies before what is missing, so
    there the read only has to begin after it.
    """
    if hole.until is None:
        return False
    until = versions.millis(hole.until)
    if hole.id.startswith(openings.FIRST):
        return until <= r0_ms
    return versions.proves(until, margin_ms) <= r0_ms


def worth_waiting(holes: Iterable[Hole], now_ms: int, margin_ms: int) -> float:
    """Seconds after which a read closes the holes that ended just now; 0 where it does already, or never will."""
    longest = versions.proves(now_ms, margin_ms) - now_ms
    left = [
        versions.proves(versions.millis(hole.until), margin_ms) - now_ms
        for hole in holes
        if hole.until is not None and not closable(hole, now_ms, margin_ms)
    ]
    return max((ms for ms in left if ms <= longest), default=0) / 1000


async def open_holes(dsn: str, object_name: str) -> list[Hole]:
    """Those that the projector has seen. None where Postgres is away: holes stay open then, which is the safe side."""
    if not dsn:
        return []
    try:
        rows = await _rows(dsn, object_name)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        log.warning("open holes are not known", extra={"action": "holes_unknown", "why": type(error).__name__})
        return []
    return [Hole(row["hole_id"], row["hole_to"], row["hole_from"]) for row in rows]


async def _rows(dsn: str, object_name: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn, timeout=_SECONDS, command_timeout=_SECONDS)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(postgres.queries(_QUERIES)["open_holes"], object_name)
        return rows
    finally:
        await connection.close()
