"""How far each object is covered, for `umbra status`: observed by the stream, proven by reads, and what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from schemas import versions
from schemas.events import stamp
from services.ingestor.jobs import window
from services.ingestor.jobs.holes import Hole
from services.ingestor.jobs.lives import Unproven

_SECONDS = 3.0
_SQL = """
SELECT object, observed_until, proven_until, full_read_until FROM object_freshness ORDER BY object
"""
_HOLES = "SELECT object, hole_id, hole_to, hole_from FROM open_hole ORDER BY object, hole_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """observed: up to when the stream says nothing is missing; proven: up to when a read has shown it"""

    object: str
    observed: str | None
    proven: str | None
    open_holes: int
    advice: str | None

    def document(self) -> dict[str, Any]:
        return asdict(self)


async def look(dsn: str) -> list[Coverage] | None:
    """Coverage of every shadowed object; None while Postgres does not answer or has no tables."""
    try:
        async with asyncio.timeout(_SECONDS):
            connection = await asyncpg.connect(dsn)
            try:
                rows, holes = await connection.fetch(_SQL), await connection.fetch(_HOLES)
            finally:
                await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    now = datetime.now(UTC)
    opened: dict[str, list[Hole]] = {}
    for object_name, *hole in holes:
        opened.setdefault(object_name, []).append(Hole(*hole))
    return [of(row[0], row[1], row[2], row[3], opened.get(row[0], []), now) for row in rows]


def of(
    name: str,
    observed: datetime | None,
    proven: datetime | None,
    full_read: datetime | None,
    holes: Sequence[Hole],
    now: datetime,
) -> Coverage:
    return Coverage(
        object=name,
        observed=None if observed is None else stamp(observed),
        proven=None if proven is None else stamp(proven),
        open_holes=len(holes),
        advice=advice(name, full_read, holes, now),
    )


def advice(name: str, full_read: datetime | None, holes: Sequence[Hole], now: datetime) -> str | None:
    """The least that makes an object complete; None when it is."""
    if full_read is None:
        return f"never read in full: a backfill begun now completes it (umbra backfill --object {name} --execute)"
    if not holes:
        return None
    job = "delta" if _by_delta(holes, now) else "backfill"
    why = "something before or between its changes may be missing"
    return f"{why}: a {job} begun now completes it (umbra {job} --object {name} --execute)"


def _by_delta(holes: Sequence[Hole], now: datetime) -> bool:
    """Whether one delta closes all of these: of their kinds, and young enough for deletions to be told."""
    try:
        window.of(versions.millis(now), holes, versions.millis(now))
    except Unproven:
        return False
    return all(window.fitting(hole) for hole in holes)


def table(found: list[Coverage] | None) -> list[str]:
    if found is None:
        return ["", "  coverage: Postgres does not answer"]
    rows = ["", f"  {'object':<16} {'observed until':<25} {'proven until':<25} open holes"]
    for each in found:
        rows.append(
            f"  {each.object:<16} {each.observed or 'never':<25} {each.proven or 'never':<25} {each.open_holes}"
        )
        rows += [f"    {each.advice}"] if each.advice else []
    return rows
