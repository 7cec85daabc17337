"""What the control endpoint shows: state and counters, and records as a person looks for them."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from sandbox.salesforce.instance import API_VERSION, Instance
from sandbox.salesforce.objects import ORDER
from sandbox.salesforce.org import Org
from sandbox.salesforce.schema import Record, SObject, Value
from sandbox.salesforce.seed.customers import DEMO_ACCOUNTS, account_number
from sandbox.salesforce.values import rest_time, to_json

_SLICE = 500


def state(instance: Instance) -> dict[str, Any]:
    org, usage = instance.org, instance.usage
    return {
        "salesforce": "on" if instance.switch.on else "off",
        "off": not instance.switch.on,
        "org_id": instance.identity.org_id,
        "api_version": API_VERSION,
        "now": rest_time(org.clock.now_ms()),
        "rest_calls": dict(usage.calls_by_route),
        "daily_api_calls": {"max": usage.allowances.daily_api_calls, "used": usage.api_calls.total()},
        "bulk_jobs": usage.query_jobs.total(),
        "published_events": {name: topic.published for name, topic in org.bus.topics.items()},
        "delivered_events": dict(usage.delivered_by_topic),
        "streams": {name: count for name, count in usage.streams_by_topic.items() if count},
        "records": {name: len(table.records) for name, table in org.store.tables.items()},
    }


def full(org: Org, obj: SObject, record: Record) -> dict[str, Value]:
    """Every field by its REST name, the values as REST shows them."""
    return {name: to_json(obj.by_name[name], value) for name, value in org.store.full(obj, record).items()}


def slices(org: Org, obj: SObject) -> Iterator[list[dict[str, Value]]]:
    """All records of an object, deleted ones included, a few hundred at a time."""
    snapshot = iter(list(org.store.tables[obj.name].records.values()))
    while part := [full(org, obj, record) for record in islice(snapshot, _SLICE)]:
        yield part


def _live(org: Org, name: str) -> Iterator[Record]:
    return (record for record in org.store.tables[name].records.values() if not record["IsDeleted"])


def find_entry(org: Org, sku: str, currency: str, book: str) -> Record | None:
    """The live price entry of a SKU in a price book, by the book's name or id."""
    products = (p for p in org.store.tables["Product2"].where("StockKeepingUnit", sku) if not p["IsDeleted"])
    for product in products:
        for entry in _entries(org, product):
            its_book = org.store.get("Pricebook2", str(entry["Pricebook2Id"])) or {}
            if (
                entry.get("CurrencyIsoCode") == currency
                and not entry["IsDeleted"]
                and book in (its_book.get("Name"), its_book.get("Id"))
            ):
                return entry
    return None


def prices(org: Org, search: str, limit: int) -> list[dict[str, Value]]:
    """Price entries whose SKU or product name contains the text."""
    wanted = search.casefold()
    found = (p for p in _live(org, "Product2") if wanted in f"{p.get('StockKeepingUnit')} {p.get('Name')}".casefold())
    rows = (_price_row(org, product, entry) for product in found for entry in _portal_first(org, product))
    return list(islice(rows, limit))


def _entries(org: Org, product: Record) -> Iterator[Record]:
    return (e for e in org.store.tables["PricebookEntry"].where("Product2Id", product["Id"]) if not e["IsDeleted"])


def _portal_first(org: Org, product: Record) -> list[Record]:
    """The book a customer sees before the one it derives from."""
    standard = {b["Id"] for b in _live(org, "Pricebook2") if b.get("IsStandard")}
    return sorted(_entries(org, product), key=lambda e: (e["Pricebook2Id"] in standard, str(e["CurrencyIsoCode"])))


def _price_row(org: Org, product: Record, entry: Record) -> dict[str, Value]:
    book = org.store.get("Pricebook2", str(entry["Pricebook2Id"])) or {}
    return {
        "id": entry["Id"],
        "sku": product.get("StockKeepingUnit"),
        "name": product.get("Name"),
        "pricebook": book.get("Name"),
        "currency": entry.get("CurrencyIsoCode"),
        "price": entry.get("UnitPrice"),
        "active": entry.get("IsActive"),
    }


def orders(org: Org) -> list[dict[str, Value]]:
    """The newest hundred orders, newest first."""
    newest = sorted(_live(org, "Order"), key=lambda o: str(o["OrderNumber"]), reverse=True)[:100]
    return [_order_row(org, order) for order in newest]


def _order_row(org: Org, order: Record) -> dict[str, Value]:
    account = org.store.get("Account", str(order.get("AccountId"))) or {}
    return {
        "id": order["Id"],
        "number": order["OrderNumber"],
        "account": account.get("Name"),
        "status": order.get("Status"),
        "reason": order.get("Status_Reason__c"),
        "total": order.get("TotalAmount"),
        "currency": order.get("CurrencyIsoCode"),
        "changed": to_json(ORDER.by_name["LastModifiedDate"], order["LastModifiedDate"]),
    }


def demo_accounts(org: Org) -> list[dict[str, Value]]:
    """The accounts planted by name, whatever they are called by now."""
    numbers = {account_number(index) for index in range(len(DEMO_ACCOUNTS))}
    return [
        {
            "account_id": account["Id"],
            "name": account["Name"],
            "internet_eligibility": account.get("Internet_Eligibility__c"),
        }
        for account in _live(org, "Account")
        if account.get("AccountNumber") in numbers
    ]
