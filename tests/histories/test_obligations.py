"""Readers that neglect one obligation each (`docs/correctness.md`): the histories notice every one of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from schemas import versions
from tests.histories.ingest import Ingest, Job
from tests.histories.lives import live

HISTORIES = 300


@dataclass(slots=True)
class ClaimsUpToItsStart(Ingest):
    """The ledger says that a read proves all up to its beginning."""

    def proven_until(self, job: Job) -> int:
        return job.r0_ms


@dataclass(slots=True)
class ReadsUpToThen(Ingest):
    """The delta's window ends where `updated` was asked."""

    def _rows(self, object_name: str, since: int | None) -> dict[str, dict[str, Any]]:
        rows = Ingest._rows(self, object_name, since)
        if since is None:
            return rows
        bound = self.now_ms() - self.margin_ms
        return {i: row for i, row in rows.items() if _stamp_ms(row) < bound}


@dataclass(slots=True)
class RepairsAtOnce(Ingest):
    """A mark is taken for cleared by whatever read comes first."""

    def due(self) -> dict[Any, Any]:
        return {}


def _stamp_ms(row: dict[str, Any]) -> int:
    return versions.millis(datetime.fromisoformat(row["SystemModstamp"]))


@pytest.mark.parametrize(
    "neglect",
    [ClaimsUpToItsStart, ReadsUpToThen, RepairsAtOnce],
)
def test_a_neglected_obligation_shows(neglect: type[Ingest]) -> None:
    assert any(live(seed, neglect).faults for seed in range(HISTORIES))
