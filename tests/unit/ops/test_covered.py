"""Status says how far an object is covered, and what makes it complete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.ingestor.jobs.holes import Hole
from services.ops import covered

NOW = datetime(2026, 11, 25, 14, 0, 0, tzinfo=UTC)
FIRST = Hole("first:/data/AccountChangeEvent:1", NOW)


def hole(hole_id: str, age: timedelta = timedelta(hours=1)) -> Hole:
    return Hole(hole_id, NOW - age, NOW - age)


def test_a_complete_object_needs_nothing() -> None:
    assert covered.of("Account", NOW, NOW, NOW, [], NOW).advice is None


def test_a_first_start_without_a_backfill_after_it_is_not_complete() -> None:
    never_read = covered.of("Account", None, None, None, [FIRST], NOW)
    read_before_it = covered.of("Account", None, NOW, NOW, [FIRST], NOW)

    assert never_read.advice is not None
    assert "never read in full" in never_read.advice
    assert read_before_it.advice is not None
    assert "umbra backfill --object Account --execute" in read_before_it.advice


@pytest.mark.parametrize(
    ("holes", "job"),
    [
        ([hole("replay:0a:1")], "delta"),
        ([hole("replay:0a:1"), hole("undecodable:0b")], "delta"),
        ([hole("replay:0a:1"), hole("overflow:0c")], "backfill"),
        ([hole("replay:0a:1", timedelta(days=16))], "backfill"),
        ([FIRST], "backfill"),
    ],
)
def test_the_least_that_closes_all_holes_is_advised(holes: list[Hole], job: str) -> None:
    advice = covered.of("Account", NOW, NOW, NOW, holes, NOW).advice

    assert advice is not None
    assert f"a {job} begun now completes it (umbra {job} --object Account --execute)" in advice


def test_the_table_has_a_line_for_each_object_and_its_advice() -> None:
    lines = covered.table(
        [
            covered.of("Account", NOW, NOW, NOW, [], NOW),
            covered.of("Order", None, NOW, NOW, [FIRST, hole("overflow:0a")], NOW),
        ]
    )

    assert any("Account" in line and "2026-11-25T14:00:00.000Z" in line for line in lines)
    assert any("Order" in line and "never" in line for line in lines)
    assert any("--object Order" in line for line in lines)


async def test_postgres_away_is_said() -> None:
    assert await covered.look("postgresql://nobody@127.0.0.1:1/none") is None
    assert "Postgres does not answer" in "\n".join(covered.table(None))


async def test_coverage_is_read_from_the_tables(postgres_dsn: str) -> None:
    assert await covered.look(postgres_dsn) == []
