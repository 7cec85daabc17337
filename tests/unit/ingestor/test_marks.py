"""Watermarks go forward, at most once a second, and less the late visibility."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.ingestor.marks import LEAST_SECONDS, Marks
from services.ingestor.position import Position

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MORNING = NOON - timedelta(hours=6)
HERE = Position(replay_id="0a", event_at=NOON, covered_from=MORNING)


def test_mark_stands_before_the_newest_event_by_the_late_visibility() -> None:
    mark = Marks("Product2").due(NOON, HERE, 0.0)

    assert mark is not None
    assert (mark.object, mark.basis, mark.covered_until) == ("Product2", "stream", NOON - timedelta(seconds=3))


def test_mark_says_since_when_it_is_contiguous_and_up_to_which_position() -> None:
    mark = Marks("Product2").due(NOON, HERE, 0.0)

    assert mark is not None
    assert (mark.covered_from, mark.replay_id) == (MORNING, "0a")


def test_what_lies_in_the_hole_before_a_span_is_not_marked() -> None:
    anew = Position(replay_id="0a", event_at=NOON, covered_from=NOON)
    second = timedelta(seconds=1)

    assert Marks("Product2").due(NOON + 2 * second, anew, 0.0) is None
    assert Marks("Product2").due(NOON + 3 * second, anew, 0.0) is not None


def test_topic_without_an_object_has_no_marks() -> None:
    assert Marks(None).due(NOON, HERE, 0.0) is None


def test_batch_without_news_has_no_mark() -> None:
    assert Marks("Product2").due(None, HERE, 0.0) is None


def test_mark_that_was_not_committed_is_due_again() -> None:
    marks = Marks("Product2")

    assert marks.due(NOON, HERE, 0.0) == marks.due(NOON, HERE, 0.1)


@given(st.lists(st.tuples(st.integers(-5, 5), st.floats(0, 0.7)), max_size=40))
def test_written_marks_rise_and_keep_their_distance(steps: list[tuple[int, float]]) -> None:
    marks, clock, newest = Marks("Product2"), 0.0, NOON
    written: list[tuple[datetime, float]] = []
    for seconds, passed in steps:
        clock, newest = clock + passed, newest + timedelta(seconds=seconds)
        mark = marks.due(newest, HERE, clock)
        if mark is not None and mark.covered_until is not None:
            marks.written(mark, clock)
            written.append((mark.covered_until, clock))

    for (until, at), (later, after) in itertools.pairwise(written):
        assert later > until
        assert after - at >= LEAST_SECONDS
