"""The start guard refuses every log in which going on would skip something, and no other."""

from __future__ import annotations

import dataclasses

import pytest

from services.projector.engine import guard
from services.projector.engine.guard import Extent, Seen, Stored
from services.projector.log import Place

STORED = Stored(Place("sf.product2.v1", 2), "e1", 120, 118, 1_700_000_000_000, 77)


@pytest.mark.parametrize("extent", [Extent(0, 120), Extent(120, 120), Extent(0, 500)])
def test_an_offset_inside_the_log_is_let_on(extent: Extent) -> None:
    assert guard.refusal(STORED, "e1", extent) is None


def test_a_log_trimmed_past_the_offset_is_refused() -> None:
    reason = guard.refusal(STORED, "e1", Extent(121, 500))

    assert reason == "sf.product2.v1/2: Postgres stands at 120, the log begins at 121: the records between are gone"


def test_a_log_that_ends_before_the_offset_is_refused() -> None:
    assert "the log ends at 119" in (guard.refusal(STORED, "e1", Extent(0, 119)) or "")


def test_another_epoch_is_refused() -> None:
    assert "created anew" in (guard.refusal(STORED, "e2", Extent(0, 500)) or "")


def test_the_refusal_says_what_helps_and_has_its_own_exit_code() -> None:
    fatal = guard.refuse(["why"])

    assert fatal.exit_code == 71
    assert "umbra rebuild" in str(fatal)


def test_the_same_last_record_is_let_on() -> None:
    assert guard.difference(STORED, Seen(118, 1_700_000_000_000, 77)) is None


@pytest.mark.parametrize("change", [{"offset": 119}, {"timestamp_ms": 1}, {"key_hash": 78}])
def test_another_last_record_is_refused(change: dict[str, int]) -> None:
    seen = dataclasses.replace(Seen(118, 1_700_000_000_000, 77), **change)

    assert guard.difference(STORED, seen) is not None


@pytest.mark.parametrize(
    ("extent", "expected"), [(Extent(0, 120), True), (Extent(119, 120), False), (Extent(0, 118), False)]
)
def test_the_last_record_is_compared_while_it_is_in_the_log(extent: Extent, expected: bool) -> None:
    assert guard.remembers(STORED, extent) is expected


@pytest.mark.parametrize(("committed", "expected"), [(None, 120), (100, 100), (300, 120), (3, 50)])
def test_reading_begins_at_the_smaller_offset_inside_the_log(committed: int | None, expected: int) -> None:
    assert guard.beginning(STORED, Extent(50, 500), committed) == expected
