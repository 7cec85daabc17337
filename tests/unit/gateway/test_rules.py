"""Small rules: plans by eligibility, write tokens, reports, the shape of answers, the description of the routes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schemas import mapping, versions
from schemas.join import State
from services.gateway import docs, eligible, openapi, statuses
from services.gateway.answers import NewStatus
from services.gateway.freshness import Receipt
from services.gateway.routes import Routes
from services.gateway.shapes import Shapes
from services.gateway.writes import Tokens

MAPPING = mapping.load()
NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
ORDER_ID = "801000000000001AAA"
RECEIPT = Receipt("Order", ORDER_ID, 1_793_588_645_000)
OLD, NEW = ("an-old-key-that-has-32-characters-and-more", "a-new-key-that-has-32-characters-and-more")


@pytest.mark.parametrize(
    ("eligibility", "offerings", "reason"),
    [
        ("Home 1G", {"Home 1G"}, None),
        ("Home 10G", {"Home 1G", "Home 10G"}, None),
        ("Apartment 1G", {"Apartment 1G"}, None),
        ("Island 5G", {"Island 5G"}, None),
        ("Not Eligible", set(), "not_eligible"),
        ("Pending", set(), "pending"),
        (None, set(), "not_checked"),
    ],
)
def test_an_eligibility_admits_its_offerings(eligibility: str | None, offerings: set[str], reason: str | None) -> None:
    assert eligible.verdict(eligibility) == eligible.Verdict(frozenset(offerings), reason)


def test_a_write_token_opens_with_any_of_the_keys_and_with_no_other() -> None:
    token = Tokens([OLD]).sign(Receipt("Order", ORDER_ID, RECEIPT.r0_ms + 999))

    assert Tokens([NEW, OLD]).open(token) == RECEIPT
    assert Tokens([NEW]).open(token) is None


@pytest.mark.parametrize("token", ["", "x", "é", "AAAA" * 20, "=" * 9])
def test_what_is_no_token_is_none(token: str) -> None:
    assert Tokens([OLD]).open(token) is None


def test_a_changed_token_does_not_open() -> None:
    token = Tokens([OLD]).sign(RECEIPT)

    for place in range(0, len(token), 5):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert Tokens([OLD]).open(changed) is None


def test_a_report_from_the_future_is_clamped_and_one_without_a_time_is_of_now() -> None:
    def occurred(at: datetime | None) -> datetime:
        said = NewStatus(status="Activating", occurred_at=at)
        return statuses.reported(MAPPING.order_status, ORDER_ID, said, None, NOW).occurred_at

    assert occurred(None) == NOW
    assert occurred(NOW + timedelta(hours=1)) == NOW + timedelta(seconds=2)
    assert occurred(NOW - timedelta(days=1)) == NOW - timedelta(days=1)


def test_a_repeated_report_is_the_same_event() -> None:
    said = NewStatus(status="Failed", reason="PAYMENT_DECLINED", occurred_at=NOW - timedelta(seconds=3))
    later = NOW + timedelta(minutes=1)

    first, again, other = (
        statuses.reported(MAPPING.order_status, ORDER_ID, said, key, at)
        for key, at in (("k", NOW), ("k", later), ("l", NOW))
    )

    assert first == again
    assert first.id != other.id
    assert (first.terminal, first.message) == (True, "Your payment was declined.")


def alive(**fields: object) -> State:
    return State({"IsDeleted": False, **fields}, base=versions.read_version(1_793_588_645_000))


def product(sku: str = "A", active: object = True) -> State:
    return alive(StockKeepingUnit=sku, Name="N", IsActive=active, Item_Class__c="SIM", Description="D")


def entry(price: str = "10", **more: object) -> State:
    known = {"Product2Id": "p", "Pricebook2Id": "b", "UnitPrice": price, "CurrencyIsoCode": "JPY", "IsActive": True}
    return alive(**(known | more))


def test_products_and_prices_that_are_not_sold_are_left_out() -> None:
    products = {"p": product(), "q": product("B", active=False), "r": product("C", active=None)}
    entries = {
        "sold": entry("19.9"),
        "inactive": entry(IsActive=False),
        "of another book": entry(Pricebook2Id="c"),
        "too precise": entry("1.999"),
        "too large": entry("10000000000"),
        "without a price": alive(Product2Id="p", Pricebook2Id="b", CurrencyIsoCode="JPY", IsActive=True),
        "of one not sold": entry(Product2Id="q"),
    }

    [offered] = Shapes(MAPPING).offered(products, entries, "b")

    assert offered.sku == "A"
    assert [(price.pricebook_entry_id, price.unit_price) for price in offered.prices] == [("sold", "19.90")]
    assert offered.extra == {"active": True, "description": "D"}


def test_of_two_products_that_want_one_sku_the_smallest_id_has_it() -> None:
    [offered] = Shapes(MAPPING).offered({"q": product(), "p": product()}, {}, None)

    assert offered.product_id == "p"


def test_every_route_is_described_and_has_its_handler() -> None:
    document = openapi.document()

    for route in openapi.ROUTES:
        assert callable(getattr(Routes, route.handler))
        described = document["paths"][route.path][route.method.lower()]
        assert str(route.status) in described["responses"]
    assert docs.page(document).count("<section") == len(openapi.ROUTES) + 1
    assert {"Product", "Order", "NewOrder", "InternetPlans"} <= document["components"]["schemas"].keys()
