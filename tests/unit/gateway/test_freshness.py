"""How old is too old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schemas import versions
from services.gateway import freshness
from services.gateway.entry import Entry
from services.gateway.freshness import ANY, AsOf, Demand, Receipt, Rules
from tests.unit.gateway.made import NOW, entry

RULES = Rules(cache_ms=30_000, fresh_ms=900_000)
T = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "unread", "rule_live", "kept"),
    [
        (5, 5, False, True),
        (2_000, 5, False, True),
        (40, 31, False, False),
        (890, 5, True, True),
        (901, 5, True, False),
        (901, 0.5, True, True),
    ],
)
def test_a_cached_answer_serves_until_it_should_be_read_again(
    age: float, unread: float, rule_live: bool, kept: bool
) -> None:
    assert freshness.keeps(entry(age, unread), RULES, ANY, NOW, rule_live=rule_live) is kept


@pytest.mark.parametrize(("age", "demanded", "kept"), [(9, 10_000, True), (11, 10_000, False), (1, 0, False)])
def test_a_cached_answer_is_not_older_than_the_caller_accepts(age: float, demanded: int, kept: bool) -> None:
    demand = Demand(max_staleness_ms=demanded)

    assert freshness.keeps(entry(age), RULES, demand, NOW, rule_live=False) is kept


@pytest.mark.parametrize(
    ("stored", "rule_live", "live"),
    [
        (entry(10), False, False),
        (entry(100_000), False, False),
        (entry(100_000), True, True),
        (entry(10, body=b""), False, False),
        (entry(901, body=b""), False, True),
        (entry(10, body=b"", covered=False), False, True),
        (entry(10, covered=False), False, True),
    ],
)
def test_salesforce_is_asked_where_the_stored_answer_proves_too_little(
    stored: Entry, rule_live: bool, live: bool
) -> None:
    assert freshness.needs_live(stored, RULES, NOW, rule_live=rule_live) is live


def test_whatever_is_older_than_the_rule_is_called_stale() -> None:
    assert freshness.source_of(entry(899), "process", RULES, NOW) == "process"
    assert freshness.source_of(entry(901), "process", RULES, NOW) == "stale"


def test_a_row_is_as_of_the_later_of_its_version_and_its_objects_coverage() -> None:
    later = T + timedelta(minutes=1)

    assert freshness.as_of_row(T, later) == freshness.as_of_row(later, T) == versions.millis(later)
    assert freshness.as_of_row(T, None) == versions.millis(T)


def test_a_list_is_as_of_the_least_coverage_and_proves_nothing_without_one() -> None:
    later = T + timedelta(minutes=1)

    assert freshness.as_of_list([later, T], [later]) == AsOf(versions.millis(T), covered=True)
    assert freshness.as_of_list([T, None], [later, T]) == AsOf(versions.millis(T), covered=False)
    assert freshness.as_of_list([None]) == AsOf(0, covered=False)


def test_a_live_read_is_as_of_its_start_less_the_late_visibility_or_of_what_won_over_it() -> None:
    new, old, older = (versions.event_version(NOW - ms, 1, 1) for ms in (1_000, 3_500, 4_000))

    assert freshness.as_of_live(NOW, []) == NOW - 3_000
    assert freshness.as_of_live(NOW, [old, older]) == NOW - 4_000
    assert freshness.as_of_live(NOW, [new]) == NOW - 3_000


def test_a_row_holds_a_write_by_an_event_or_a_read_from_then_on() -> None:
    receipt = Receipt("Order", "x", NOW)

    assert freshness.holds(versions.event_version(NOW, 1, 1), receipt)
    assert not freshness.holds(versions.event_version(NOW - 1_000, 1, 1), receipt)
    assert freshness.holds(versions.read_version(NOW), receipt)
    assert not freshness.holds(versions.read_version(NOW - 1), receipt)
    assert not freshness.holds(None, receipt)
