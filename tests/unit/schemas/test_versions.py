"""Versions order as text what they order in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import versions

_MS = st.integers(0, 10**13)
_NUMBER = st.integers(0, 2**63 - 1)


@given(st.tuples(_MS, _NUMBER, st.integers(0, 999_999)), st.tuples(_MS, _NUMBER, st.integers(0, 999_999)))
def test_events_order_by_time_then_number_then_sequence(a: tuple[int, int, int], b: tuple[int, int, int]) -> None:
    assert (versions.event_version(*a) < versions.event_version(*b)) == (a < b)


@given(st.integers(10**12, 10**13), st.integers(0, 60_000))
def test_a_read_is_versioned_by_the_second_before_its_margin(began: int, margin: int) -> None:
    version = versions.read_version(began, margin)

    assert len(version) == 40
    assert versions.at_ms(version) <= began - margin < versions.at_ms(version) + 1000
    assert versions.is_read(version)


@given(st.integers(10**12, 10**13), _NUMBER)
def test_the_earliest_proving_read_is_above_its_mark_and_one_ms_less_is_not(mark: int, number: int) -> None:
    event = versions.event_version(mark // 1000 * 1000, number, 1)
    proving = versions.proves(mark)

    assert versions.read_version(proving) > event
    assert versions.read_version(proving - 1) < event


def test_salesforce_wins_over_fulfilment_at_the_same_moment_and_time_wins_over_both() -> None:
    early_salesforce = versions.status_version(1_000, "salesforce", 5, 1, False, "a")
    fulfilment = versions.status_version(2_000, "fulfilment", 0, 0, False, "b")
    salesforce = versions.status_version(2_000, "salesforce", 5, 1, False, "c")

    assert versions.LOWEST_STATUS < early_salesforce < fulfilment < salesforce
    assert len(versions.LOWEST_STATUS) == len(salesforce)


def test_inside_one_second_the_commit_number_goes_before_terminal() -> None:
    failed = versions.status_version(1_000, "salesforce", 5, 1, True, "a")
    restarted = versions.status_version(1_000, "salesforce", 6, 1, False, "b")

    assert restarted > failed


@pytest.mark.parametrize("bad", [(-1, 0, 0), (0, -1, 0), (0, 0, 1_000_000)])
def test_what_fits_no_version_is_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no version"):
        versions.event_version(*bad)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds
def test_milliseconds_and_moments_are_exact(moment: datetime) -> None:
    truncated = moment - timedelta(microseconds=moment.microsecond % 1000)

    assert versions.moment(versions.millis(moment)) == truncated


def test_a_read_proves_up_to_its_second_because_an_event_of_that_second_is_above_it() -> None:
    began, margin = 1_790_000_018_472, 5_000
    delivered = versions.event_version(1_790_000_013_000, 1, 1)
    lost_ms = 1_790_000_013_002  # a later commit of the same second: in the read, and its event never came

    assert versions.read_version(began, margin) < delivered
    assert versions.proven_until(began, margin) < 1_790_000_013_000 <= lost_ms < began - margin
