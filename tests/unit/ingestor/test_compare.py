"""What differs between org and shadow is named by record and field, and what is too young to tell is told apart."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import ids, mapping, versions
from schemas.events import RecordChange, stamp
from services.ingestor.jobs import compare, verify
from services.ingestor.jobs.compare import Difference, Known, Range, Sum
from services.salesforce import changes

ACCOUNT = mapping.load().objects["Account"]
A, B = (ids.parse(f"001000000000{nth:03d}") for nth in (1, 2))
R0 = 1_800_000_000_000
CUT, OLD = R0 - 30_000, R0 - 3_600_000


def org(record_id: str = A, at_ms: int = OLD, deleted: bool = False, **fields: Any) -> dict[str, RecordChange]:
    record: dict[str, Any] = {"Id": record_id, "IsDeleted": deleted, "SystemModstamp": stamp(versions.moment(at_ms))}
    return {record_id: changes.snapshot(ACCOUNT, {**record, **fields}, r0_ms=R0, origin="repair")}


def shadow(record_id: str = A, at_ms: int = OLD, deleted: bool = False, **fields: Any) -> dict[str, Known]:
    return {record_id: Known({"IsDeleted": deleted, **fields}, versions.event_version(at_ms, 1, 1))}


@pytest.mark.parametrize(
    ("org_side", "shadow_side", "expected"),
    [
        (org(), shadow(), []),
        (org(Credit_Status__c="B"), shadow(Credit_Status__c="A"), [Difference(A, "changed", ("Credit_Status__c",))]),
        (org(Credit_Status__c=None), shadow(), []),
        (org(), {}, [Difference(A, "missing")]),
        (org(), shadow(deleted=True), [Difference(A, "missing")]),
        ({}, shadow(), [Difference(A, "extra")]),
        (org(deleted=True), shadow(), [Difference(A, "extra")]),
        (org(deleted=True), {}, []),
        ({}, shadow(deleted=True), []),
        (org(deleted=True, Credit_Status__c="B"), shadow(deleted=True), []),
        (org() | org(B), shadow(B), [Difference(A, "missing")]),
        (org(at_ms=CUT), {}, [None]),
        (org(at_ms=CUT - 1), {}, [Difference(A, "missing")]),
        ({}, shadow(at_ms=CUT), [None]),
        (org(Credit_Status__c="B"), shadow(at_ms=CUT), [None]),
    ],
)
def test_differences(
    org_side: dict[str, RecordChange], shadow_side: dict[str, Known], expected: list[Difference | None]
) -> None:
    assert list(compare.differences(org_side, shadow_side, CUT)) == expected


@pytest.mark.parametrize(
    ("org_side", "shadow_side", "expected"),
    [
        (Sum(2, OLD), Sum(2, OLD), True),
        (Sum(2, OLD), Sum(3, OLD), False),
        (Sum(2, OLD + 1_000), Sum(2, OLD), False),
        (Sum(2, OLD + 999), Sum(2, OLD), True),
        (Sum(0, None), Sum(0, None), True),
        (Sum(0, None), Sum(0, OLD), True),
    ],
)
def test_ranges_are_alike_by_number_and_newest_stamp(org_side: Sum, shadow_side: Sum, expected: bool) -> None:
    assert compare.alike(org_side, shadow_side) is expected


def test_split_covers_a_range_once() -> None:
    assert compare.split(Range("b", "y"), ["a", "b", "d", "k"]) == [Range("b", "d"), Range("d", "k"), Range("k", "y")]
    assert compare.split(Range(), []) == [Range()]


def test_token_leads_back_to_object_and_id() -> None:
    assert verify.object_of(f"verify:Product2:{A}") == ("Product2", A)
    assert verify.object_of("verify:Product2:") == ("Product2", "")
    for text in ("backfill:Product2", "verify:Nothing:x", "verify"):
        with pytest.raises(ValueError, match="no token"):
            verify.object_of(text)
