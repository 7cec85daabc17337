"""What a read says of a record, as a RecordChange."""

from __future__ import annotations

import pytest

from schemas import mapping, versions
from schemas.join import State, join, state_of
from services.salesforce import changes
from services.salesforce.canonical import Value

ACCOUNT = mapping.load().objects["Account"]
ID = "001000000000001AAA"
R0 = 1_700_000_031_500
WHOLE: dict[str, Value] = {
    "Id": ID,
    "IsDeleted": False,
    "SystemModstamp": "2023-11-14T22:13:20.000Z",
    **dict.fromkeys(ACCOUNT.fields, "x"),
}


def test_read_of_every_mapped_field_covers_all() -> None:
    change = changes.snapshot(ACCOUNT, WHOLE, r0_ms=R0, origin="backfill", job_id="750")

    assert change.covers == "all"
    assert change.version == versions.read_version(R0)
    assert change.fields == {"IsDeleted": False, **dict.fromkeys(ACCOUNT.fields, "x")}
    assert change.read_began_at == versions.moment(R0)
    assert change.system_modstamp == versions.moment(1_700_000_000_000)
    assert change.job_id == "750"


def test_read_of_some_fields_claims_those_only() -> None:
    partial = {"Id": ID, "Internet_Eligibility__c": "Eligible"}

    change = changes.snapshot(ACCOUNT, partial, r0_ms=R0, origin="live")

    assert change.covers is None
    assert change.fields == {"IsDeleted": False, "Internet_Eligibility__c": "Eligible"}


def test_deleted_record_of_a_full_read_is_a_tombstone() -> None:
    state = state_of(changes.snapshot(ACCOUNT, {**WHOLE, "IsDeleted": True}, r0_ms=R0, origin="delta"))

    assert state.deleted


def test_absent_wins_over_an_earlier_read_and_loses_to_a_later_one() -> None:
    earlier = state_of(changes.snapshot(ACCOUNT, WHOLE, r0_ms=R0, origin="backfill"))
    absent = state_of(changes.absent("Account", ID, r0_ms=R0 + 60_000, origin="repair"))
    later = state_of(changes.snapshot(ACCOUNT, WHOLE, r0_ms=R0 + 120_000, origin="delta"))

    assert join(earlier, absent).deleted
    assert join(join(absent, later), earlier).alive
    assert absent == State(payload={"IsDeleted": True}, newer={"IsDeleted": versions.read_version(R0 + 60_000)})


def test_record_without_an_id_is_refused() -> None:
    with pytest.raises(ValueError, match="not a Salesforce id"):
        changes.snapshot(ACCOUNT, {}, r0_ms=R0, origin="live")
