"""Both events that report a status agree on when it happened, and the greater version is the later change."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from schemas import mapping, versions
from schemas.events import OrderStatus, RecordChange
from services.salesforce.pubsub import statuses
from services.salesforce.pubsub.avro import Undecodable

MAPPING = mapping.load().order_status
ORDER_ID, ACCOUNT_ID = "801000000000001AAA", "001000000000001AAA"
SECOND = 1_767_225_600_000


def change(kind: Any = "update", *, number: int = 7, commit_ms: int = SECOND, **fields: Any) -> RecordChange:
    return RecordChange(
        kind=kind,
        object="Order",
        record_id=ORDER_ID,
        version=versions.event_version(commit_ms, number, 2),
        origin="cdc",
        fields={"IsDeleted": False, **fields},
        committed_at=versions.moment(commit_ms),
        replay_id="aa",
        sequence=2,
        commit_number=str(number),
    )


def of_change(given: RecordChange) -> OrderStatus:
    (status,) = statuses.from_changes([given], MAPPING)
    return status


def platform(*, at: int | None = SECOND, replay: str = "bb", **fields: Any) -> OrderStatus:
    event = {
        "CreatedDate": SECOND + 250,
        "CreatedById": "005000000000001AAA",
        "Order_Id__c": ORDER_ID,
        "Account_Id__c": ACCOUNT_ID,
        "Status__c": "Failed",
        "Reason__c": None,
        "Occurred_At__c": at,
        **fields,
    }
    return statuses.from_platform_event(event, MAPPING, replay)


def test_change_with_a_status_reports_it_at_its_commit() -> None:
    status = of_change(change("create", Status="Draft", AccountId=ACCOUNT_ID))

    assert (status.order_id, status.account_id, status.status) == (ORDER_ID, ACCOUNT_ID, "Draft")
    assert status.occurred_at == versions.moment(SECOND)
    assert (status.source, status.kind, status.terminal) == ("salesforce", "reported", False)
    assert status.message == "Your order has been received."


@pytest.mark.parametrize(
    "given",
    [
        change(TotalAmount="10"),
        change("delete"),
        change("undelete", Status=None),
    ],
)
def test_change_without_a_status_reports_none(given: RecordChange) -> None:
    assert list(statuses.from_changes([given], MAPPING)) == []


def test_account_is_named_only_where_the_event_carries_it() -> None:
    assert of_change(change(Status="Activating")).account_id is None


def test_platform_event_gives_reason_and_its_message() -> None:
    status = platform(Reason__c="LINE_UNAVAILABLE")

    assert (status.status, status.reason, status.terminal) == ("Failed", "LINE_UNAVAILABLE", True)
    assert status.message == "No line is available at your address."


def test_message_of_an_unknown_reason_is_the_status_own() -> None:
    assert platform(Reason__c="X17").message == "Your order could not be completed."


def test_15_character_ids_are_extended() -> None:
    status = platform(Order_Id__c=ORDER_ID[:15], Account_Id__c=ACCOUNT_ID[:15])

    assert (status.order_id, status.account_id) == (ORDER_ID, ACCOUNT_ID)


@pytest.mark.parametrize("milliseconds", [0, 1, 999])
def test_platform_event_never_stands_above_the_change_event_of_its_second(milliseconds: int) -> None:
    reported = platform(at=SECOND + milliseconds)

    assert reported.version < of_change(change(Status="Failed", number=1)).version
    assert reported.occurred_at == of_change(change(Status="Failed")).occurred_at


def test_platform_events_of_one_second_are_ordered_by_their_milliseconds() -> None:
    times = [platform(at=SECOND + ms, replay=f"{9 - ms}").version for ms in range(5)]

    assert times == sorted(times)


def test_changes_of_one_second_are_ordered_by_their_commits() -> None:
    found = [of_change(change(Status=s, number=n)) for n, s in enumerate(("Completed", "Draft", "Activating"))]

    for arrival in itertools.permutations(found):
        assert max(arrival, key=lambda status: status.version).status == "Activating"


def test_time_of_publication_stands_in_for_a_missing_occurrence() -> None:
    assert platform(at=None).occurred_at == versions.moment(SECOND)


@pytest.mark.parametrize(
    "wrong", [{"Order_Id__c": None}, {"Order_Id__c": "801"}, {"Status__c": ""}, {"Account_Id__c": "x"}]
)
def test_event_without_order_or_status_is_undecodable(wrong: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        platform(**wrong)


def test_id_names_the_delivery_and_the_record() -> None:
    assert of_change(change(Status="Draft")).id == f"aa-{ORDER_ID}"
    assert platform().id == f"bb-{ORDER_ID}"
