"""A repair begins when it proves, closes each hole by what can, and never runs in circles."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import mapping, versions
from services.ingestor.repair import byid, timing
from services.ingestor.repair.due import Due, Hole
from services.ingestor.repair.timing import Attempts
from services.salesforce.rest import Retrieved

MS = 1_767_225_600_000
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PRODUCT = mapping.load().objects["Product2"]


def hole(hole_id: str, since: datetime | None = NOON, until: datetime | None = NOON) -> Hole:
    return Hole("Product2", hole_id, since, until)


@given(st.integers(MS, MS + 10_000), st.integers(5_000, 60_000), st.integers(0, 10_000))
def test_read_of_a_mark_proves_it_even_when_its_start_is_told_late_by_a_second_and_a_half(
    at: int, margin: int, after: int
) -> None:
    due = Due("Product2", "01t", "dirty", versions.event_version(at, 1, 1))

    began = timing.record_ms(due, margin) + after - timing.SLACK_MS

    assert due.mark is not None
    assert versions.read_version(began, margin) > due.mark


def test_record_without_a_mark_may_be_read_at_once() -> None:
    assert timing.record_ms(Due("Product2", "01t", "incomplete", None), 30_000) == 0


@pytest.mark.parametrize(
    ("hole_id", "since", "expected"),
    [
        ("replay:0a", NOON, "delta"),
        ("undecodable:0a", NOON, "delta"),
        ("undecodable:0a", None, "full"),
        ("overflow:0a", NOON, "full"),
        ("wildcard:0a", NOON, "full"),
        ("unnamed:0a", NOON, "full"),
        ("first:/data/x", None, "full"),
    ],
)
def test_hole_is_closed_by_the_least_that_can(hole_id: str, since: datetime | None, expected: str) -> None:
    assert timing.remedy(hole(hole_id, since)) == expected


def test_one_job_closes_all_holes_of_an_object() -> None:
    assert timing.of_all([hole("replay:0a"), hole("overflow:0b")]) == "full"
    assert timing.of_all([hole("replay:0a"), hole("undecodable:0b")]) == "delta"


def test_hole_without_an_end_is_never_certain_to_lie_behind() -> None:
    assert timing.hole_ms(hole("replay:0a", until=None), 5_000) is None


def test_what_was_proved_rests_ever_longer_until_a_newer_mark() -> None:
    attempts, proved = Attempts(), versions.read_version(MS)
    older, newer = versions.event_version(MS - 60_000, 1, 1), versions.event_version(MS, 1, 1)
    assert attempts.resting("Product2", "01t", older, 0.0) == 0

    attempts.made("Product2", "01t", proved, 0.0)
    first = attempts.resting("Product2", "01t", older, 0.0)
    attempts.made("Product2", "01t", proved, 0.0)

    assert 0 < first < attempts.resting("Product2", "01t", older, 0.0)
    assert attempts.resting("Product2", "01t", newer, 0.0) == 0


def test_what_stays_due_is_read_200_a_call_whenever_it_became_due() -> None:
    attempts, looks = Attempts(), range(0, 86_400, 5)
    records = [f"r{n}" for n in range(400)]
    calls = 0

    for now in looks:
        began = records[: 1 + now]  # one more each second
        ready = [name for name in began if attempts.resting("Account", name, None, now) == 0]
        calls += -(-len(ready) // 200)
        for name in ready:
            attempts.made("Account", name, None, now)

    assert calls < 400  # 81 looks find new ones, then two calls an hour


def test_what_is_due_no_longer_is_forgotten() -> None:
    attempts = Attempts()
    attempts.made("Product2", "01t", None, 0.0)

    attempts.keep([])

    assert attempts.resting("Product2", "01t", None, 0.0) == 0


def test_read_by_id_tells_what_is_there_what_is_not_and_what_does_not_fit() -> None:
    found, gone, unfit = "01t000000000001AAA", "01t000000000002AAA", "01t000000000003AAA"
    rows = {
        found: {"Id": found, "IsDeleted": False, "Name": "Fibre", "IsActive": True},
        unfit: {"Id": unfit, "IsDeleted": False, "Name": "Fibre", "IsActive": "maybe"},
    }

    told = byid.answer(PRODUCT, Retrieved(rows, [gone], MS), 5_000)

    assert [(c.kind, c.record_id, c.origin) for c in told.found] == [("snapshot", found, "repair")]
    assert [(c.kind, c.record_id, c.fields) for c in told.absent] == [("absent", gone, {"IsDeleted": True})]
    assert told.unfit == [unfit]
    assert {c.version for c in (*told.found, *told.absent)} == {told.version}
