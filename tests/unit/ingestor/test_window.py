"""A delta reads from where everything older is proven, and refuses what it could not prove."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import versions
from schemas.events import Checkpoint
from services.ingestor.jobs import window
from services.ingestor.jobs.holes import Hole
from services.ingestor.jobs.lives import Unproven

NOW = 1_800_000_000_000
HOUR = 3_600_000
AT = versions.moment(NOW)
LONG = window.LONGEST_TRANSACTION_MS


def checkpoint(**job: int) -> Checkpoint:
    return Checkpoint(name="x", written_at=AT, job=job)


def hole(since_ms: int | None, kind: str = "replay", until_ms: int | None = NOW) -> Hole:
    since, until = (None if ms is None else versions.moment(ms) for ms in (since_ms, until_ms))
    return Hole(f"{kind}:0a", until, since)


def test_first_delta_starts_before_the_longest_transaction_that_the_full_read_may_have_missed() -> None:
    full = checkpoint(proven_r0_ms=NOW - HOUR, margin_ms=30_000)

    assert window.start_of(None, full) == NOW - HOUR - 30_000 - LONG


def test_later_delta_starts_where_the_last_one_said_unless_a_full_read_proves_more() -> None:
    last = checkpoint(next_ms=NOW - HOUR)

    assert window.start_of(last, checkpoint(proven_r0_ms=NOW - 24 * HOUR, margin_ms=0)) == NOW - HOUR
    assert window.start_of(last, checkpoint(proven_r0_ms=NOW, margin_ms=0)) == NOW - LONG


def test_nothing_proven_is_refused() -> None:
    assert window.start_of(checkpoint(), None) is None
    with pytest.raises(Unproven, match="full"):
        window.of(None, (), NOW)


def test_hole_with_a_start_extends_the_window_to_the_oldest_stamp_it_may_hide() -> None:
    found = window.of(NOW - HOUR, [hole(NOW - 3 * HOUR)], NOW)

    assert found.since_ms == NOW - 3 * HOUR - LONG


@pytest.mark.parametrize(
    "other", [hole(None), hole(NOW - 3 * HOUR, "overflow"), hole(NOW - 3 * HOUR, "wildcard"), hole(NOW, until_ms=None)]
)
def test_hole_that_no_delta_closes_changes_nothing(other: Hole) -> None:
    assert not window.fitting(other)
    assert window.of(NOW - HOUR, [other], NOW).since_ms == NOW - HOUR


def test_span_asked_for_is_never_empty_once_cut_to_minutes() -> None:
    found = window.of(NOW - 1_000, (), NOW)

    assert found.since_ms == NOW - 1_000
    assert found.asked_ms // 60_000 < NOW // 60_000


@given(st.timedeltas(timedelta(days=15), timedelta(days=400)))
def test_what_salesforce_may_have_forgotten_needs_a_full_read(back: timedelta) -> None:
    with pytest.raises(Unproven, match="full read"):
        window.of(NOW - back // timedelta(milliseconds=1), (), NOW)


@given(st.integers(0, 10**13), st.integers(0, 10**13))
def test_next_start_lies_before_both_that_are_covered(updated_ms: int, deleted_ms: int) -> None:
    assert window.next_start(updated_ms, deleted_ms) <= min(updated_ms, deleted_ms) - 2_000
