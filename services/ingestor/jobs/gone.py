"""What a complete full read did not show although the shadow takes it for alive: deleted for good, without an event.

The read left its version on every record that it saw, so those are found by version alone (docs/adr/0010), once the
projector has applied the read on every partition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from schemas import topics
from schemas.versions import Version
from services.kernel import postgres
from services.kernel.errors import Retryable

log = logging.getLogger(__name__)

_QUERIES = Path(__file__).with_name("gone.sql")
_SECONDS = 60.0
_POLL_SECONDS = 1.0
FEW = 2_000
"""Records that are confirmed by id, 200 a call, before they are called gone; more are by version alone."""
PAGE = 5_000


class Shadow:
    """What the anti-join asks of Postgres, over one connection."""

    def __init__(self, connection: asyncpg.Connection, object_name: str) -> None:
        self._connection = connection
        self._object = object_name
        self._queries = postgres.queries(_QUERIES)

    async def applied(self, offsets: Mapping[int, int], within: float) -> bool:
        """Wait until the projector has passed these offsets of the object's topic; False when it has not in time."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + within
        topic = topics.RECORD_TOPICS[self._object].name
        while True:
            rows = await self._fetch("applied", topic)
            standing = {row["partition"]: row["next_offset"] for row in rows}
            if all(standing.get(partition, 0) > offset for partition, offset in offsets.items()):
                return True
            if clock() + _POLL_SECONDS > deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)

    async def alive(self, version: Version) -> tuple[int, int]:
        """Records taken for alive, and how many of them by nothing as new as `version`."""
        [row] = await self._fetch("alive", self._object, version)
        return row["alive"], row["unseen"]

    async def unseen(self, version: Version, after: str, most: int) -> list[str]:
        """Ids above `after` that nothing as new as `version` shows alive."""
        return [row["record_id"] for row in await self._fetch("unseen", self._object, after, version, most)]

    async def _fetch(self, name: str, *values: object) -> Sequence[asyncpg.Record]:
        rows: Sequence[asyncpg.Record] = await self._connection.fetch(self._queries[name], *values)
        return rows


@asynccontextmanager
async def shadow(dsn: str, object_name: str) -> AsyncIterator[Shadow]:
    """Raises Retryable while Postgres is away: nothing is called gone then."""
    if not dsn:
        raise Retryable("without Postgres nothing tells what the read did not show")
    try:
        connection = await asyncpg.connect(dsn, timeout=5.0, command_timeout=_SECONDS)
        try:
            yield Shadow(connection, object_name)
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Retryable(f"the shadow cannot be read: {type(error).__name__}") from error


async def each_page(found: Shadow, version: Version, do: Callable[[list[str]], Awaitable[None]]) -> int:
    """Hand every unseen id to `do`, a page at a time; returns how many there were."""
    after, count = "", 0
    while ids := await found.unseen(version, after, PAGE):
        await do(ids)
        after, count = ids[-1], count + len(ids)
    return count
