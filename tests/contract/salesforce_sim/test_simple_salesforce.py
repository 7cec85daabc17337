"""simple-salesforce, which knows only TLS, works against the simulator: REST, limits, Bulk 2.0."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound
from simple_salesforce.format import format_soql

from tests.contract.salesforce_sim.simulator import Simulator


@pytest.fixture
def salesforce(sim: Simulator) -> Any:
    """Untyped: objects are attributes made up at run time, and its annotations name the wrong one of three."""
    session = requests.Session()
    session.trust_env = False  # a REQUESTS_CA_BUNDLE of the machine would win over `verify`
    session.verify = sim.ca_file
    return Salesforce(instance_url=sim.https, session_id=sim.token(), version=sim.api_version, session=session)


def test_query_all_pages_through_more_than_one_page(salesforce: Any, sim: Simulator) -> None:
    headers = {"Sforce-Query-Options": "batchSize=200"}
    names = [f"Sample Paged {i:03d}" for i in range(450)]
    for start in range(0, 450, 150):
        operations = [{"op": "create", "object": "Account", "fields": {"Name": n}} for n in names[start : start + 150]]
        sim.do("POST", "/transaction", {"operations": operations})

    found = salesforce.query_all(
        "SELECT Id, Name FROM Account WHERE Name LIKE 'Sample Paged%' ORDER BY Name", headers=headers
    )

    assert found["totalSize"] == 450
    assert [r["Name"] for r in found["records"]] == names


def test_related_fields_and_counts(salesforce: Any) -> None:
    found = salesforce.query(
        "SELECT UnitPrice, Product2.StockKeepingUnit, Pricebook2.Name FROM PricebookEntry "
        "WHERE Product2.StockKeepingUnit = 'SIM-DATA-5GB' AND CurrencyIsoCode = 'JPY' ORDER BY Pricebook2.Name"
    )["records"]

    assert [r["Pricebook2"]["Name"] for r in found] == ["Standard Price Book", "Umbra Portal"]
    assert {r["Product2"]["StockKeepingUnit"] for r in found} == {"SIM-DATA-5GB"}
    assert salesforce.query("SELECT COUNT() FROM Product2")["totalSize"] >= 38


def test_a_record_lives_from_create_to_delete(salesforce: Any) -> None:
    made = salesforce.Account.create({"Name": "Sample Lifecycle", "Internet_Eligibility__c": "Pending"})
    assert made["success"]
    salesforce.Account.update(made["id"], {"Internet_Eligibility__c": "Home 1G"})
    assert salesforce.Account.get(made["id"])["Internet_Eligibility__c"] == "Home 1G"
    salesforce.Account.delete(made["id"])

    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Account.get(made["id"])
    soql = format_soql("SELECT IsDeleted FROM Account WHERE Id = {}", made["id"])
    assert salesforce.query(soql)["totalSize"] == 0
    deleted = salesforce.query(soql, include_deleted=True)
    assert deleted["records"][0]["IsDeleted"] is True


def test_upsert_by_external_id_creates_once(salesforce: Any) -> None:
    fields = {"Status": "Draft", "EffectiveDate": "2026-01-01"}
    key = "Umbra_Idempotency_Key__c/upsert-once"

    assert [salesforce.Order.upsert(key, fields, raw_response=True).status_code for _ in range(2)] == [201, 200]


def test_a_second_order_with_the_same_key_is_refused(salesforce: Any) -> None:
    fields = {"Status": "Draft", "EffectiveDate": "2026-01-01", "Umbra_Idempotency_Key__c": "only-once"}
    first = salesforce.Order.create(fields)

    with pytest.raises(SalesforceMalformedRequest) as refused:
        salesforce.Order.create(fields)

    error: Any = refused.value.content
    assert error[0]["errorCode"] == "DUPLICATE_VALUE"
    assert first["id"][:15] in error[0]["message"]


def test_limits_and_usage_are_reported(salesforce: Any) -> None:
    limits = salesforce.limits()

    assert limits["DailyApiRequests"]["Max"] == 100_000
    assert limits["DailyApiRequests"]["Remaining"] < 100_000
    assert salesforce.api_usage["api-usage"].total == 100_000


def test_describe_names_the_fields_of_an_object(salesforce: Any) -> None:
    fields = {f["name"]: f for f in salesforce.Order.describe()["fields"]}

    assert fields["Umbra_Idempotency_Key__c"]["externalId"] is True
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert fields["TotalAmount"]["updateable"] is False
    assert "PricebookEntry" in {o["name"] for o in salesforce.describe()["sobjects"]}


def test_updated_and_deleted_cover_a_span(salesforce: Any) -> None:
    kept = salesforce.Account.create({"Name": "Sample Kept"})["id"]
    gone = salesforce.Account.create({"Name": "Sample Gone"})["id"]
    salesforce.Account.delete(gone)
    span = (datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC) + timedelta(minutes=2))

    assert kept in salesforce.Account.updated(*span)["ids"]
    assert gone in {r["id"] for r in salesforce.Account.deleted(*span)["deletedRecords"]}


def test_bulk_query_pages_hold_every_row_once(salesforce: Any) -> None:
    soql = "SELECT Id, Name, UnitPrice, SystemModstamp, Product2.Name FROM PricebookEntry"
    pages = list(salesforce.bulk2.PricebookEntry.query(soql, max_records=100, wait=0.05))
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(page))]

    assert len(pages) > 1
    assert (
        len({row["Id"] for row in rows})
        == len(rows)
        == salesforce.query("SELECT COUNT() FROM PricebookEntry")["totalSize"]
    )
    assert rows[0]["Product2.Name"] == rows[0]["Name"]
    assert rows[0]["SystemModstamp"].endswith(".000Z")


def test_bulk_download_writes_pages_to_files(salesforce: Any, tmp_path: Path) -> None:
    files = salesforce.bulk2.Account.download(
        "SELECT Id, Name FROM Account", path=str(tmp_path), max_records=5, wait=0.05
    )

    counted = sum(int(f["number_of_records"]) for f in files)
    assert counted == salesforce.query("SELECT COUNT() FROM Account")["totalSize"]
    assert len(files) == len(list(tmp_path.iterdir())) > 1
