"""What `umbra coverage` says comes next is what the owner of the jobs will do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.ingestor.jobs.timetable import ScheduleSettings, Standing
from services.kernel.settings import load
from services.ops import coverage

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SCHEDULE = load(ScheduleSettings, {"UMBRA_SCHEDULE_AT": "01:30", "UMBRA_SCHEDULE_APART_MINUTES": "15"})
DAY = timedelta(days=1)


def test_after_this_nights_delta_the_next_one_is_tomorrows() -> None:
    stands = Standing(delta=NOON - timedelta(hours=10), full=NOON - DAY)

    following = coverage.following(SCHEDULE, "Product2", stands, NOON, NOON)

    assert (following.kind, following.at) == ("delta", datetime(2026, 11, 26, 1, 30, tzinfo=UTC))


def test_a_slot_that_was_missed_is_due() -> None:
    stands = Standing(delta=NOON - DAY, full=NOON - 3 * DAY)

    following = coverage.following(SCHEDULE, "PricebookEntry", stands, NOON, NOON)

    assert (following.kind, following.at) == ("delta", datetime(2026, 11, 25, 1, 45, tzinfo=UTC))


def test_a_full_read_of_a_week_ago_is_followed_by_another() -> None:
    stands = Standing(delta=NOON - timedelta(hours=10), full=NOON - 7 * DAY)

    assert coverage.following(SCHEDULE, "Product2", stands, NOON, NOON).kind == "full"


def test_nothing_is_next_where_nothing_is_scheduled() -> None:
    off = load(ScheduleSettings, {"UMBRA_SCHEDULE_ENABLED": "false"})

    assert coverage.following(off, "Product2", Standing(), NOON, None).kind is None
