"""Each object has one slot a night; what was missed is made up for, what was never read waits for its first slot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingestor.jobs import timetable
from services.ingestor.jobs.timetable import ScheduleSettings, Standing
from services.kernel import settings
from services.kernel.settings import SettingsError

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
AT = ScheduleSettings(schedule_at="23:30", schedule_apart_minutes=20, schedule_full_days=7)
DAY = timedelta(days=1)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the zone is given


@given(moments, st.integers(0, 20))
def test_newest_slot_has_begun_and_the_next_one_is_a_day_later(now: datetime, nth: int) -> None:
    begun = timetable.slot(AT, nth, now)

    assert begun <= now < begun + DAY
    assert timetable.next_slot(AT, {"Product2": nth}, now) == begun + DAY


def test_objects_begin_apart_also_over_midnight() -> None:
    begun = [timetable.slot(AT, nth, NOON) for nth in range(3)]

    assert [(at.day, at.hour, at.minute) for at in begun] == [(9, 23, 30), (9, 23, 50), (10, 0, 10)]


def test_delta_is_due_until_one_is_complete_after_the_slot() -> None:
    begun = timetable.slot(AT, 0, NOON)
    full = begun - DAY

    assert timetable.due(AT, Standing(None, full), begun, NOON) == "delta"
    assert timetable.due(AT, Standing(begun - DAY, full), begun, NOON) == "delta"
    assert timetable.due(AT, Standing(begun + timedelta(minutes=5), full), begun, NOON) is None


def test_full_read_in_the_night_makes_the_delta_needless() -> None:
    begun = timetable.slot(AT, 0, NOON)

    assert timetable.due(AT, Standing(begun - DAY, begun + timedelta(minutes=5)), begun, NOON) is None


def test_full_read_is_due_after_its_days_whatever_the_deltas_did() -> None:
    begun = timetable.slot(AT, 0, NOON)

    assert timetable.due(AT, Standing(begun - DAY, begun - 7 * DAY), begun, NOON) == "full"
    assert timetable.due(AT, Standing(begun - DAY, begun - 6 * DAY), begun, NOON) == "delta"


def test_object_never_read_waits_for_a_slot_that_its_owner_sees() -> None:
    begun = timetable.slot(AT, 0, NOON)

    assert timetable.due(AT, Standing(), begun, started=begun + timedelta(hours=1)) is None
    assert timetable.due(AT, Standing(), begun, started=begun - timedelta(hours=1)) == "full"


@pytest.mark.parametrize(
    ("name", "value"),
    [("FULL_DAYS", "30"), ("FULL_DAYS", "0"), ("AT", "24:00"), ("AT", "1:30"), ("APART_MINUTES", "-1")],
)
def test_timetable_that_cannot_be_kept_is_a_bad_setting(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"UMBRA_SCHEDULE_{name}"):
        settings.load(ScheduleSettings, {f"UMBRA_SCHEDULE_{name}": value})


def test_full_read_that_does_not_come_to_its_end_holds_no_delta_up() -> None:
    begun = timetable.slot(AT, 0, NOON)
    last_night = Standing(begun - DAY, begun - 9 * DAY)
    long_ago = Standing(begun - 2 * DAY, begun - 9 * DAY)

    assert timetable.due(AT, last_night, begun, NOON) == "full"
    assert timetable.due(AT, last_night, begun, NOON, full_put_off=True) == "delta"
    assert timetable.due(AT, Standing(begun + DAY / 24, begun - 9 * DAY), begun, NOON, full_put_off=True) == "full"
    assert timetable.due(AT, long_ago, begun, NOON) == "delta"


def test_time_that_is_still_to_come_counts_as_never() -> None:
    begun = timetable.slot(AT, 0, NOON)
    ahead = begun + 60 * DAY

    assert timetable.due(AT, Standing(ahead, ahead), begun, started=begun) == "full"
    assert timetable.due(AT, Standing(ahead, begun - DAY), begun, started=begun) == "delta"
