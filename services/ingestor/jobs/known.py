"""What Postgres knows of the Status of some orders: a read that shows another one has found a lost event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import asyncpg

from schemas import topics
from schemas.events import OrderStatus, RecordChange
from schemas.versions import Version
from services.ingestor.jobs.means import Means
from services.kernel import postgres
from services.kernel.errors import Retryable
from services.salesforce import observed
from services.salesforce.observed import Known

_QUERIES = Path(__file__).with_name("known.sql")
_SECONDS = 10.0


async def statuses(dsn: str, order_ids: Sequence[str]) -> dict[str, Known]:
    """By order id. Raises Retryable: without it a lost status would pass for one that was told."""
    try:
        rows = await _rows(dsn, order_ids)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Retryable(f"the known statuses cannot be read: {type(error).__name__}") from error
    return {row["record_id"]: Known(row["status"], Version(row["version"])) for row in rows}


async def lost(means: Means, object_name: str, read: Sequence[RecordChange]) -> list[OrderStatus]:
    """Statuses that orders have and nobody told; none for other objects, or without a shadow. Raises Retryable."""
    if object_name != topics.OBJECT_OF[topics.ORDER.name] or not (means.dsn and read):
        return []
    stored = await statuses(means.dsn, [change.record_id for change in read])
    return list(observed.statuses(means.statuses, read, stored))


async def _rows(dsn: str, order_ids: Sequence[str]) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn, timeout=_SECONDS, command_timeout=_SECONDS)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(
            postgres.queries(_QUERIES)["known_statuses"], list(order_ids)
        )
        return rows
    finally:
        await connection.close()
