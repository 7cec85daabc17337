"""A status that a read finds is dated as early as it may have been set, so it never undoes a later report."""

from __future__ import annotations

import pytest

from schemas import mapping, versions
from schemas.events import OrderStatus, RecordChange
from schemas.versions import Source
from services.salesforce import observed
from services.salesforce.observed import Known

DAY = 86_400_000
SET = 1_790_000_000_000
ORDER = "801000000000001AAA"


def found(stamp_ms: int | None) -> OrderStatus:
    """By a read two days after the status was set."""
    read = RecordChange(
        kind="snapshot",
        object="Order",
        record_id=ORDER,
        version=versions.read_version(SET + 2 * DAY),
        origin="delta",
        fields={"IsDeleted": False, "Status": "Activated"},
        covers="all",
        system_modstamp=None if stamp_ms is None else versions.moment(stamp_ms),
    )
    known = {ORDER: Known("Draft", versions.event_version(SET - 1_000, 5, 1))}
    [status] = observed.statuses(mapping.load().order_status, [read], known)
    return status


@pytest.mark.parametrize("source", ["fulfilment", "salesforce"])
@pytest.mark.parametrize("after_ms", [0, 1, DAY])
def test_late_find_does_not_undo_a_report_of_its_time_or_later(source: Source, after_ms: int) -> None:
    report = versions.status_version(SET + after_ms, source, 0, 0, True, "done")

    assert found(SET).version < report


def test_late_find_is_above_what_was_reported_before_it() -> None:
    assert found(SET).version > versions.status_version(SET - 2_000, "salesforce", 9, 1, True, "before")


def test_it_is_dated_by_the_stamp_and_never_later_than_the_read_proves() -> None:
    proven = versions.moment(versions.at_ms(versions.read_version(SET + 2 * DAY)))

    assert found(SET).occurred_at == versions.moment(SET)
    assert found(SET + 2 * DAY).occurred_at == found(None).occurred_at == proven
