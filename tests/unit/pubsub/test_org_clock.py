"""The org's time stays a lower bound when our clock runs fast, and one wrong answer does not stay."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.kernel.clock import SetClock
from services.salesforce.pubsub.org_clock import OrgClock

ORG = 1_790_000_000


@pytest.fixture
def ours() -> SetClock:
    return SetClock(datetime(2026, 1, 1, tzinfo=UTC))


def test_nothing_is_known_before_the_org_said_something(ours: SetClock) -> None:
    with pytest.raises(ValueError, match="not told"):
        OrgClock(ours).now_ms()


def test_clock_that_runs_fast_for_days_is_set_right_by_each_answer(ours: SetClock) -> None:
    org = OrgClock(ours)
    passed = 0
    for _ in range(3 * 144):
        org.told(ORG + passed)
        passed += 600
        ours.advance(600 * 1.00005)

    assert -1_000 <= org.now_ms() - (ORG + passed) * 1000 <= 500


def test_answer_that_was_long_under_way_does_not_loosen_the_bound(ours: SetClock) -> None:
    org = OrgClock(ours)
    org.told(ORG)
    ours.advance(10)
    org.told(ORG + 8)

    assert org.now_ms() == (ORG + 10) * 1000


def test_one_wrong_answer_counts_until_the_next(ours: SetClock) -> None:
    org = OrgClock(ours)
    org.told(ORG + 3_600)
    org.told(ORG)

    assert org.now_ms() == ORG * 1000
