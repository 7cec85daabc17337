"""The query language: what selects what."""

from typing import Any

import pytest

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.objects import ACCOUNT
from sandbox.salesforce.org import Org
from sandbox.salesforce.soql import run
from sandbox.salesforce.soql.parser import parse
from sandbox.salesforce.soql.rows import rest_rows
from sandbox.salesforce.values import rest_time

_BASE = "/services/data/v67.0"


def rows(org: Org, soql: str, *, with_deleted: bool = False) -> list[dict[str, Any]]:
    query = parse(soql)
    now = org.clock.now_ms()
    if query.aggregates:
        return run.aggregate(org.store, query, now, with_deleted=with_deleted)
    render = rest_rows(org.store, run.target(query), query.select, _BASE)
    return [render(r) for r in run.select(org.store, query, now, with_deleted=with_deleted)]


def names(org: Org, where: str, source: str = "Account") -> list[str]:
    return [r["Name"] for r in rows(org, " ".join(("SELECT Name FROM", source, where)))]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("WHERE Internet_Eligibility__c = 'home 10g'", 3),
        ("WHERE Internet_Eligibility__c = null", 1),
        ("WHERE Internet_Eligibility__c != 'Home 10G'", 9),
        ("WHERE Internet_Eligibility__c IN ('Home 1G', 'Pending')", 4),
        ("WHERE Internet_Eligibility__c NOT IN ('Home 1G', 'Pending')", 8),
        ("WHERE Name LIKE '%sample%'", 4),
        ("WHERE Name LIKE '_en Sample'", 1),
        ("WHERE NOT Name LIKE '%Sample%'", 8),
        ("WHERE Type = 'Business' AND (Internet_Eligibility__c = 'Pending' OR Credit_Status__c = 'Hold')", 3),
        ("WHERE Type = 'Business' AND NOT (Internet_Eligibility__c = 'Pending' OR Credit_Status__c = 'Hold')", 3),
        ("WHERE CreatedDate < 2020-01-01T00:00:00Z", 0),
        ("WHERE CreatedDate > 2020-01-01T09:00:00+09:00", 12),
        ("WHERE CreatedDate = TODAY", 0),
        ("WHERE CreatedDate = LAST_N_DAYS:61", 12),
        ("WHERE IsDeleted = true", 0),
        ("LIMIT 5", 5),
        ("LIMIT 5 OFFSET 10", 2),
    ],
)
def test_filters(org: Org, where: str, found: int) -> None:
    assert len(names(org, where)) == found


def test_relationships_lead_to_other_records(org: Org) -> None:
    soql = (
        "SELECT Quantity, Order.OrderNumber, Order.Account.Name, PricebookEntry.Product2.StockKeepingUnit "
        "FROM OrderItem WHERE Order.Account.Name = 'Ren Sample' ORDER BY PricebookEntry.Product2.StockKeepingUnit"
    )
    found = rows(org, soql)

    assert [r["PricebookEntry"]["Product2"]["StockKeepingUnit"] for r in found] == ["ACT-VPN", "VPN-UK"]
    assert found[0]["Order"]["attributes"]["type"] == "Order"
    assert found[0]["Order"]["Account"]["Name"] == "Ren Sample"


def test_prices_compare_as_numbers_and_names_come_from_the_product(org: Org) -> None:
    where = "WHERE UnitPrice >= 22800 AND CurrencyIsoCode = 'JPY' AND Name LIKE '%installation%'"

    assert len(names(org, where, "PricebookEntry")) == 2


def test_nulls_come_first_or_where_they_are_told_to(org: Org) -> None:
    def order(by: str) -> list[str | None]:
        soql = "SELECT Internet_Eligibility__c FROM Account ORDER BY Internet_Eligibility__c "
        return [r["Internet_Eligibility__c"] for r in rows(org, soql + by)]

    assert order("")[0] is None
    assert order("DESC")[-1] is None
    assert order("ASC NULLS LAST")[-1] is None
    assert order("DESC NULLS FIRST")[0] is None
    assert order("")[1:] == sorted(s for s in order("") if s)


def test_aggregates_in_all_and_by_group(org: Org) -> None:
    assert rows(org, "SELECT COUNT() FROM Product2") == [{"expr0": 38}]
    (row,) = rows(org, "SELECT COUNT(Id) n, MAX(SystemModstamp) newest, MIN(Name) FROM Account")
    assert row["n"] == 12
    stamps = [int(str(r["SystemModstamp"])) for r in org.store.tables["Account"].records.values()]
    assert row["newest"] == rest_time(max(stamps))
    by_status = rows(org, "SELECT Status, COUNT(Id) FROM Order GROUP BY Status")
    assert sum(r["expr1"] for r in by_status) == 10
    assert len(by_status) == 6


def test_deleted_records_are_only_in_query_all(org: Org) -> None:
    with org.transaction() as tx:
        tx.delete(ACCOUNT, next(iter(org.store.tables["Account"].records)))

    assert len(rows(org, "SELECT Id FROM Account")) == 11
    assert len(rows(org, "SELECT Id FROM Account", with_deleted=True)) == 12
    assert len(rows(org, "SELECT Id FROM Account WHERE IsDeleted = true", with_deleted=True)) == 1


def test_quotes_and_wildcards_can_be_escaped(org: Org) -> None:
    with org.transaction() as tx:
        tx.create(ACCOUNT, {"Name": r"Sample's 100% \ Shop"})

    assert names(org, r"WHERE Name = 'Sample\'s 100% \\ Shop'") == [r"Sample's 100% \ Shop"]
    assert names(org, r"WHERE Name LIKE '%100\%%'") == [r"Sample's 100% \ Shop"]
    assert names(org, r"WHERE Name LIKE '%1\%%'") == []


def test_a_fifteen_character_id_finds_its_record(org: Org) -> None:
    record_id = next(iter(org.store.tables["Account"].records))

    assert len(names(org, f"WHERE Id = '{record_id[:15]}'")) == 1
    assert len(names(org, f"WHERE Id IN ('{record_id}', '{record_id}')")) == 1


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id, FROM Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account LIMIT x", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'open", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account OFFSET 2001", "MALFORMED_QUERY"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Owner.Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE CreatedDate > '2020'", "INVALID_FIELD"),
        ("SELECT Id FROM Account ORDER BY Nope", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Id = 'not an id'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_code(org: Org, soql: str, code: str) -> None:
    with pytest.raises(Refused) as refused:
        rows(org, soql)

    assert refused.value.code == code
