"""Transactions are all or nothing, and each becomes one commit with one event per record."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sandbox.salesforce import avro
from sandbox.salesforce.errors import Refused
from sandbox.salesforce.objects import ACCOUNT, ORDER, PRICEBOOK_ENTRY, PRODUCT
from sandbox.salesforce.org import Behaviour, Org
from sandbox.salesforce.schema import Record
from tests.unit.sandbox_salesforce.orgs import ORDERS, PRICES, STATUS, StillClock, open_planted

_ACCOUNTS = "/data/AccountChangeEvent"


def events(org: Org, topic: str) -> list[dict[str, Any]]:
    found = [e for e in org.bus.topics[topic].entries if e.payload]
    return [avro.reader(org.publisher.schemas[e.schema_id])(e.payload) for e in found]


def some(org: Org, name: str, **fields: object) -> Record:
    return next(r for r in org.store.tables[name].records.values() if fields.items() <= r.items())


def test_a_failed_transaction_leaves_neither_records_nor_events(org: Org) -> None:
    entry = some(org, "PricebookEntry")

    def attempt() -> None:
        with org.transaction() as tx:
            tx.update(PRICEBOOK_ENTRY, str(entry["Id"]), {"UnitPrice": 1.0})
            tx.create(ACCOUNT, {})

    with pytest.raises(Refused):
        attempt()

    assert org.store.get("PricebookEntry", str(entry["Id"])) is entry
    assert events(org, PRICES) == []


def test_all_changes_of_a_transaction_share_time_number_and_key(org: Org) -> None:
    accounts = list(org.store.tables["Account"].records)[:3]
    with org.transaction() as tx:
        for record_id in accounts:
            tx.update(ACCOUNT, record_id, {"Credit_Status__c": "Hold"})
    headers = [e["ChangeEventHeader"] for e in events(org, _ACCOUNTS)]

    assert [h["recordIds"] for h in headers] == [[i] for i in accounts]
    assert [h["sequenceNumber"] for h in headers] == [1, 2, 3]
    assert len({(h["commitTimestamp"], h["commitNumber"], h["transactionKey"]) for h in headers}) == 1


def test_several_writes_to_a_record_are_one_event_with_the_last_values(org: Org) -> None:
    with org.transaction() as tx:
        made = tx.create(ACCOUNT, {"Name": "Sample Twice"})
        tx.update(ACCOUNT, made, {"Name": "Sample Final"})
        gone = tx.create(ACCOUNT, {"Name": "Sample Never"})
        tx.delete(ACCOUNT, gone)

    (event,) = events(org, _ACCOUNTS)
    assert (event["ChangeEventHeader"]["changeType"], event["Name"]) == ("CREATE", "Sample Final")


def test_an_update_carries_changed_fields_only_and_nulls_by_their_bit(org: Org) -> None:
    account = some(org, "Account", Internet_Eligibility__c="Home 1G")
    with org.transaction() as tx:
        tx.update(ACCOUNT, str(account["Id"]), {"Internet_Eligibility__c": None, "Phone": "000"})
    (event,) = events(org, _ACCOUNTS)

    assert event["Phone"] == "000"
    assert event["Name"] is None
    places = org.publisher.current_schemas()[0].places
    assert event["ChangeEventHeader"]["nulledFields"] == [_bit(places["Internet_Eligibility__c"][0])]


def _bit(index: int) -> str:
    return f"0x{1 << index:0{2 * (index // 8 + 1)}X}"


def test_delete_and_undelete_events(org: Org) -> None:
    account = some(org, "Account", Name="Aoi Example")
    for step in ("delete", "undelete"):
        with org.transaction() as tx:
            getattr(tx, step)(ACCOUNT, str(account["Id"]))
    deleted, undeleted = events(org, _ACCOUNTS)

    assert deleted["ChangeEventHeader"]["changeType"] == "DELETE"
    assert all(value is None for name, value in deleted.items() if name != "ChangeEventHeader")
    assert undeleted["ChangeEventHeader"]["changeType"] == "UNDELETE"
    assert undeleted["Name"] == "Aoi Example"


def test_deleting_a_product_deletes_its_entries_and_entries_cannot_come_back(org: Org) -> None:
    used = {r["Product2Id"] for r in org.store.tables["OrderItem"].records.values()}
    product = next(p for i, p in org.store.tables["Product2"].records.items() if i not in used)
    with org.transaction() as tx:
        tx.delete(PRODUCT, str(product["Id"]))
    headers = [e["ChangeEventHeader"] for e in events(org, PRICES)]

    assert [h["changeType"] for h in headers] == ["DELETE"] * 4
    with pytest.raises(Refused), org.transaction() as tx:
        tx.undelete(PRICEBOOK_ENTRY, headers[0]["recordIds"][0])


def test_a_product_that_was_ordered_cannot_be_deleted(org: Org) -> None:
    line = some(org, "OrderItem")
    with pytest.raises(Refused, match="DELETE_FAILED"), org.transaction() as tx:
        tx.delete(PRODUCT, str(line["Product2Id"]))


def test_entries_on_the_standard_price_follow_it(org: Org) -> None:
    book = str(some(org, "Pricebook2", Name="Umbra Portal")["Id"])
    standard_book = some(org, "Pricebook2", IsStandard=True)["Id"]
    entry = some(org, "PricebookEntry", Pricebook2Id=book, CurrencyIsoCode="JPY")
    standard = some(
        org, "PricebookEntry", Pricebook2Id=standard_book, CurrencyIsoCode="JPY", Product2Id=entry["Product2Id"]
    )
    with org.transaction() as tx:
        tx.update(PRICEBOOK_ENTRY, str(entry["Id"]), {"UseStandardPrice": True})
    with org.transaction() as tx:
        tx.update(PRICEBOOK_ENTRY, str(standard["Id"]), {"UnitPrice": 7777.0})

    mirrored = org.store.get("PricebookEntry", str(entry["Id"]))
    assert mirrored is not None
    assert mirrored["UnitPrice"] == 7777.0


def test_a_second_entry_for_the_same_book_and_currency_is_a_duplicate(org: Org) -> None:
    entry = some(org, "PricebookEntry")
    values = {name: entry[name] for name in ("Pricebook2Id", "Product2Id", "CurrencyIsoCode", "UnitPrice")}
    with pytest.raises(Refused, match="DUPLICATE_VALUE"), org.transaction() as tx:
        tx.create(PRICEBOOK_ENTRY, values)


def test_a_reason_belongs_to_its_status(org: Org) -> None:
    order = str(some(org, "Order", Status="Failed")["Id"])
    with org.transaction() as tx:
        tx.update(ORDER, order, {"Status": "Activating"})
    with org.transaction() as tx:
        tx.update(ORDER, order, {"Status_Reason__c": "RETRY"})
    with org.transaction() as tx:
        tx.update(ORDER, order, {"Description": "no news"})

    told = [(e["Status__c"], e["Reason__c"]) for e in events(org, STATUS)]
    assert told == [("Activating", None), ("Activating", "RETRY")]
    assert len(events(org, ORDERS)) == 3


def test_commit_numbers_grow_while_the_clock_stands_still(org: Org) -> None:
    account = next(iter(org.store.tables["Account"].records))
    for status in ("Hold", "Clear", "Hold"):
        with org.transaction() as tx:
            tx.update(ACCOUNT, account, {"Credit_Status__c": status})
    numbers = [e["ChangeEventHeader"]["commitNumber"] for e in events(org, _ACCOUNTS)]

    assert all(a < b for a, b in pairwise(numbers))
    assert len(str(numbers[0])) == 19


@pytest.mark.parametrize(("whole", "at"), [(True, 1_790_000_000_000), (False, 1_790_000_000_250)])
def test_commit_times_are_whole_seconds_unless_set_otherwise(tmp_path: Path, whole: bool, at: int) -> None:
    org, journal = open_planted(tmp_path / "org", StillClock(), Behaviour(whole_seconds=whole))
    account = next(iter(org.store.tables["Account"].records))
    with org.transaction() as tx:
        tx.update(ACCOUNT, account, {"Credit_Status__c": "Hold"})
    journal.close()

    (event,) = events(org, _ACCOUNTS)
    assert event["ChangeEventHeader"]["commitTimestamp"] == event["LastModifiedDate"] == at


def test_what_a_savepoint_takes_back_is_neither_changed_nor_told(org: Org) -> None:
    kept, undone = (str(r["Id"]) for r in org.store.tables["Order"].records.values() if r["Status"] == "Draft")
    with org.transaction() as tx:
        tx.update(ORDER, kept, {"Status": "Activating"})
        mark = tx.savepoint()
        tx.update(ORDER, undone, {"Status": "Failed"})
        tx.rollback(mark)

    assert [e["Order_Id__c"] for e in events(org, STATUS)] == [kept]
    assert [e["ChangeEventHeader"]["recordIds"] for e in events(org, ORDERS)] == [[kept]]
    assert some(org, "Order", Id=undone)["Status"] == "Draft"


def test_a_unique_value_is_free_once_its_record_is_gone_and_taken_when_it_wants_back(org: Org) -> None:
    values: Record = {"Status": "Draft", "EffectiveDate": "2026-01-01", "Umbra_Idempotency_Key__c": "once"}

    def create() -> str:
        with org.transaction() as tx:
            return tx.create(ORDER, values)

    first = create()
    with pytest.raises(Refused, match="DUPLICATE_VALUE"):
        create()
    with org.transaction() as tx:
        tx.delete(ORDER, first)
    create()
    with pytest.raises(Refused, match="DUPLICATE_VALUE"), org.transaction() as tx:
        tx.undelete(ORDER, first)
