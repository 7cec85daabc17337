"""How far each object is covered, for `umbra status`: observed by the stream, proven by reads, and what is missing."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import asyncpg

from schemas.events import stamp

_SECONDS = 3.0
_SQL = """
SELECT object, observed_until, proven_until, full_read_until, open_holes FROM object_freshness ORDER BY object
"""


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
                rows = await connection.fetch(_SQL)
            finally:
                await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return None
    return [of(*row) for row in rows]


def of(
    name: str, observed: datetime | None, proven: datetime | None, full_read: datetime | None, open_holes: int
) -> Coverage:
    return Coverage(
        object=name,
        observed=None if observed is None else stamp(observed),
        proven=None if proven is None else stamp(proven),
        open_holes=open_holes,
        advice=advice(name, full_read, open_holes),
    )


def advice(name: str, full_read: datetime | None, open_holes: int) -> str | None:
    """What makes an object complete; None when it is."""
    if full_read is not None and not open_holes:
        return None
    why = "never read in full" if full_read is None else "something before or between its changes may be missing"
    return f"{why}: a backfill begun now completes it (umbra backfill --object {name} --execute)"


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
