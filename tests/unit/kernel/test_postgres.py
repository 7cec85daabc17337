"""Which errors pass by themselves, and how queries are read from their files."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from asyncpg.exceptions._base import DataError as BadArgument

from services.kernel import postgres


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.InterfaceError("closed"),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.DiskFullError(),
        asyncpg.InvalidCachedStatementError(),
    ],
)
def test_a_server_that_is_away_or_gives_way_passes(error: Exception) -> None:
    assert postgres.is_transient(error)


@pytest.mark.parametrize("error", [asyncpg.UniqueViolationError(), BadArgument("no integer"), KeyError("x")])
def test_bad_data_never_passes(error: Exception) -> None:
    assert not postgres.is_transient(error)


def test_named_queries_are_read_by_name(tmp_path: Path) -> None:
    file = tmp_path / "q.sql"
    file.write_text("-- name: one: the first\nSELECT 1;\n\n-- name: two\nSELECT 2\n-- a comment\nFROM t;\n")

    assert postgres.queries(file) == {"one": "SELECT 1", "two": "SELECT 2\n-- a comment\nFROM t"}
