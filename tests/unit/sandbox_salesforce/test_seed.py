"""A new org is believable, complete and the same for the same seed."""

from decimal import Decimal

from sandbox.salesforce.objects import ELIGIBILITIES, ORDER_STATUSES
from sandbox.salesforce.org import Org
from sandbox.salesforce.seed.catalog import plans
from sandbox.salesforce.seed.generated import generated_plans


def test_every_eligibility_and_every_status_is_there(org: Org) -> None:
    accounts, orders = (org.store.tables[name].records.values() for name in ("Account", "Order"))

    assert {a.get("Internet_Eligibility__c") for a in accounts} == {*ELIGIBILITIES, None}
    assert {o["Status"] for o in orders} == set(ORDER_STATUSES)
    assert all(float(str(o["TotalAmount"])) > 0 for o in orders)


def test_every_product_is_priced_in_both_books_and_currencies(org: Org) -> None:
    entries = org.store.tables["PricebookEntry"]
    for product in org.store.tables["Product2"].records:
        kinds = {(e["Pricebook2Id"], e["CurrencyIsoCode"]) for e in entries.where("Product2Id", product)}
        assert len(kinds) == 4
    assert any(not e["IsActive"] for e in entries.records.values())


def test_yen_are_whole_and_dollars_have_cents(org: Org) -> None:
    for entry in org.store.tables["PricebookEntry"].records.values():
        price = Decimal(str(entry["UnitPrice"]))
        assert price == price.quantize(Decimal(1) if entry["CurrencyIsoCode"] == "JPY" else Decimal("0.01"))


def test_generated_plans_depend_on_the_seed_alone_and_never_share_a_sku() -> None:
    first, second = list(generated_plans(20_000, 7)), list(generated_plans(20_000, 7))

    assert first == second != list(generated_plans(20_000, 8))
    skus = [p.sku for p in [*plans(), *first]]
    assert len(skus) == len(set(skus))


def test_planting_makes_no_events(org: Org) -> None:
    assert all(topic.published == 0 for topic in org.bus.topics.values())
