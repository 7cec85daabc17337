"""Fills an empty org.  What is planted has happened long ago: it makes no events."""

from datetime import UTC, datetime
from itertools import chain

from sandbox.salesforce import ids
from sandbox.salesforce.commit import Caller
from sandbox.salesforce.objects import ACCOUNT, CURRENCIES, ORDER, ORDER_ITEM, PRICEBOOK, PRICEBOOK_ENTRY, PRODUCT
from sandbox.salesforce.org import Org
from sandbox.salesforce.schema import Record, SObject, Value
from sandbox.salesforce.seed.catalog import Plan, plans
from sandbox.salesforce.seed.customers import DEMO_ACCOUNTS, DEMO_ORDERS, DemoOrder, account_fields, order_dates
from sandbox.salesforce.seed.generated import generated_plans
from sandbox.salesforce.transaction import Transaction

PORTAL_BOOK = "Umbra Portal"
MOST_PRICED = 50_000
"""Products beyond these have no prices yet: four for each would be four fifths of a large org's memory."""
_DAY_MS = 86_400_000


class Planter:
    """Puts records into an org that has none, dated before its start."""

    def __init__(self, org: Org) -> None:
        self.org = org
        self._defaults: dict[str, Record] = {
            obj.name: {f.name: f.default for f in obj.fields if f.default is not None} for obj in org.objects.values()
        }
        now = org.clock.now_ms()
        self.now_ms = now - now % 1000

    def plant(self, products: int, accounts: int, seed: int) -> None:
        """At least the hand-written catalog and the demo accounts; more of both as asked."""
        self._people()
        standard, portal = self._books()
        written = list(plans())
        for index, plan in enumerate(chain(written, generated_plans(max(0, products - len(written)), seed))):
            stamp = self.now_ms - 90 * _DAY_MS + index * 1000 % (60 * _DAY_MS)
            self._product(plan, standard, portal, stamp, priced=index < MOST_PRICED)
        made = [self._account(i) for i in range(max(accounts, len(DEMO_ACCOUNTS)))]
        entries = self._portal_entries(portal)
        for order, age in zip(DEMO_ORDERS, order_dates(len(DEMO_ORDERS)), strict=True):
            self._order(order, made[order.account], portal, entries, self.now_ms - age * _DAY_MS)

    def plant_bare(self) -> str:
        """Only what every org has: its people, and its price books; the standard one's id."""
        self._people()
        return self._books()[0]

    def _past(self, stamp_ms: int) -> Transaction:
        """A transaction that is never committed: its writes stay, and no event tells of them."""
        return Transaction(self.org.database, self.org.counters, Caller(self.org.user_id, ""), lambda: stamp_ms)

    def _raw(self, obj: SObject, stamp_ms: int, record_id: str = "", **fields: Value) -> str:
        """A record without the checks of a transaction, which would make a large catalog slow to plant."""
        record: Record = {**self._defaults[obj.name], **fields}
        record_id = record_id or self.org.counters.next_id(obj.prefix)
        record.update(
            Id=record_id,
            CreatedDate=stamp_ms,
            LastModifiedDate=stamp_ms,
            SystemModstamp=stamp_ms,
            CreatedById=self.org.user_id,
            LastModifiedById=self.org.user_id,
        )
        kept: Record = {name: value for name, value in record.items() if value is not None}
        self.org.database.put(obj.name, record_id, kept)
        return record_id

    def _people(self) -> None:
        tables = self.org.store.tables
        long_ago = self.now_ms - 400 * _DAY_MS
        self._raw(
            tables["User"].obj,
            long_ago,
            self.org.user_id,
            Username="integration@umbra.example",
            Name="Umbra Integration",
            Email="integration@umbra.example",
        )
        self._raw(
            tables["Organization"].obj,
            long_ago,
            self.org.org_id,
            Name="Umbra Sandbox Telecom",
            OrganizationType="Developer Edition",
            InstanceName="SANDBOX1",
        )
        self.org.counters.ids[tables["User"].obj.prefix] = 1

    def _books(self) -> tuple[str, str]:
        long_ago = self.now_ms - 400 * _DAY_MS
        standard = self._raw(PRICEBOOK, long_ago, Name="Standard Price Book", IsActive=True, IsStandard=True)
        return standard, self._raw(PRICEBOOK, long_ago, Name=PORTAL_BOOK, IsActive=True)

    def _product(self, plan: Plan, standard: str, portal: str, stamp_ms: int, *, priced: bool) -> None:
        product = self._raw(
            PRODUCT,
            stamp_ms,
            Name=plan.name,
            ProductCode=plan.sku,
            StockKeepingUnit=plan.sku,
            IsActive=plan.active,
            Description=plan.description or None,
            Family=plan.item_class,
            Item_Class__c=plan.item_class,
            Offering_Type__c=plan.offering,
            Plan_Tier__c=plan.tier,
            VPN_Region__c=plan.region,
            Name_JA__c=plan.name_ja,
        )
        for currency in CURRENCIES if priced else ():
            for book, in_portal in ((standard, False), (portal, True)):
                self._raw(
                    PRICEBOOK_ENTRY,
                    stamp_ms,
                    Pricebook2Id=book,
                    Product2Id=product,
                    CurrencyIsoCode=currency,
                    UnitPrice=plan.price(currency, portal=in_portal),
                    IsActive=plan.active and (plan.portal_active or not in_portal),
                )

    def _account(self, index: int) -> str:
        stamp = self.now_ms - 60 * _DAY_MS + index * 60_000
        return self._past(min(stamp, self.now_ms)).create(ACCOUNT, account_fields(index))

    def _portal_entries(self, portal: str) -> dict[tuple[str, str], Record]:
        """The portal's entries by SKU and currency."""
        store = self.org.store
        skus = {i: str(p["StockKeepingUnit"]) for i, p in store.tables["Product2"].records.items()}
        entries = (e for e in store.tables["PricebookEntry"].records.values() if e["Pricebook2Id"] == portal)
        return {(skus[str(e["Product2Id"])], str(e["CurrencyIsoCode"])): e for e in entries}

    def _order(
        self, order: DemoOrder, account: str, portal: str, entries: dict[tuple[str, str], Record], at_ms: int
    ) -> None:
        tx = self._past(at_ms)
        fields: dict[str, Value] = {
            "AccountId": account,
            "Pricebook2Id": portal,
            "Status": "Draft",
            "CurrencyIsoCode": order.currency,
            "EffectiveDate": datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat(),
        }
        order_id = tx.create(ORDER, fields)
        for sku in order.skus:
            entry = entries[sku, order.currency]
            line: dict[str, Value] = {
                "OrderId": order_id,
                "PricebookEntryId": entry["Id"],
                "Quantity": 1.0,
                "UnitPrice": entry["UnitPrice"],
            }
            tx.create(ORDER_ITEM, line)
        for step, status in enumerate(order.path, 1):
            last = {"Status_Reason__c": order.reason} if status == order.path[-1] else {}
            self._past(at_ms + step * 600_000).update(ORDER, order_id, {"Status": status, **last})


def integration_user_id() -> str:
    return ids.make("005", 1)
