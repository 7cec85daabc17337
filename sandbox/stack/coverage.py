"""Whether the shadow has been filled once: every object has had a complete full read."""

from __future__ import annotations

import asyncio
import time

import asyncpg

from sandbox.stack import postgres
from sandbox.stack.child import NotReady
from sandbox.stack.ports import HOST

_PATIENCE_SECONDS = 120.0


async def complete(port: int) -> bool:
    connection = await asyncpg.connect(host=HOST, port=port, user=postgres.OWNER, database=postgres.DATABASE)
    try:
        found = await connection.fetchval("SELECT bool_and(full_read_until IS NOT NULL) FROM object_freshness")
    finally:
        await connection.close()
    return found is True


async def until_complete(port: int) -> None:
    """Returns when the rows have followed a backfill. Raises NotReady when they do not."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not await complete(port):
        if time.monotonic() > deadline:
            raise NotReady(f"the rows did not follow the backfill within {_PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(0.1)
