"""The fence: a record is applied once, and never after one that was lost."""

from __future__ import annotations

import pytest

from services.projector.log import Hole, LogRecord, Place, stale

PLACE = Place("sf.product2.v1", 0)


def record(offset: int, follows: int | None = None) -> LogRecord:
    return LogRecord(PLACE, offset, offset if follows is None else follows, 0, b"k", b"v")


def test_records_below_the_next_offset_are_stale() -> None:
    assert stale(12, [record(10), record(11), record(12), record(13)]) == 2


def test_a_gap_that_kafka_skipped_is_passed() -> None:
    assert stale(12, [record(15, follows=12), record(16)]) == 0


def test_a_gap_that_began_below_the_next_offset_is_passed() -> None:
    assert stale(13, [record(15, follows=11)]) == 0


def test_a_record_that_follows_an_offset_never_applied_is_a_hole() -> None:
    with pytest.raises(Hole, match=r"sf\.product2\.v1/0: 12 is due, 16 follows 15"):
        stale(12, [record(16, follows=15)])


def test_a_batch_swallowed_in_the_middle_is_a_hole() -> None:
    with pytest.raises(Hole):
        stale(12, [record(12), record(14, follows=14)])
