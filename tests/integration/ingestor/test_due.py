"""What is due of one object does not hide what is due of another, nor do marks of later hide those of now."""

from __future__ import annotations

import asyncpg

from schemas import versions
from services.ingestor.repair import due

MS = 1_767_225_600_000
DAY_MS = 86_400_000
_DIRTY = """
INSERT INTO sf_record (object, record_id, payload, dirty)
SELECT $1, $2 || lpad(n::text, 12, '0') || 'AAA', '{}', $4 FROM generate_series(1, $3::int) AS n
"""


async def dirty(dsn: str, object_name: str, prefix: str, number: int, at_ms: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_DIRTY, object_name, prefix, number, versions.event_version(at_ms, 1, 1))
    finally:
        await connection.close()


async def test_many_marks_hide_neither_another_objects_nor_earlier_ones(postgres_dsn: str) -> None:
    await dirty(postgres_dsn, "Account", "001", 20, MS + DAY_MS)
    await dirty(postgres_dsn, "Account", "001Z", 1, MS)
    await dirty(postgres_dsn, "Order", "801", 1, MS)

    todo = await due.read(postgres_dsn, most=10)

    assert [len(todo.records[name]) for name in ("Account", "Order")] == [10, 1]
    assert todo.records["Account"][0].record_id.startswith("001Z")
    assert all(each.reason == "dirty" and each.mark for some in todo.records.values() for each in some)


async def test_record_that_is_dirty_and_incomplete_is_one_read_that_its_mark_decides(postgres_dsn: str) -> None:
    await dirty(postgres_dsn, "Product2", "01t", 1, MS)
    connection = await asyncpg.connect(postgres_dsn)
    try:
        await connection.execute(
            "INSERT INTO sf_hidden (object, record_id, reason, since) "
            "SELECT object, record_id, 'incomplete', now() - interval '1 hour' FROM sf_record"
        )
    finally:
        await connection.close()

    (only,) = (await due.read(postgres_dsn)).records["Product2"]

    assert (only.reason, only.mark) == ("dirty", versions.event_version(MS, 1, 1))
