"""An order before it is one: identity, price, the call, the Draft status."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from schemas import mapping, versions
from services.gateway import ordering
from services.gateway.answers import NewOrder, WantedLine
from services.gateway.ordering import NotOffered, Offer
from services.gateway.shapes import Shapes

MAPPING = mapping.load()
ACCOUNT, ORDER_ID = "001000000000001AAA", "801000000000001AAA"
ORDER = NewOrder(lines=[WantedLine("A", 2), WantedLine("B")], currency="JPY")
R0 = 1_793_588_645_250


def offer(sku: str, book: str = "book", price: str = "100") -> Offer:
    return Offer(sku, f"Product {sku}", f"entry-{sku}-{book}", book, Decimal(price))


def test_one_key_of_one_account_is_one_order_whatever_is_asked_for() -> None:
    same, other = ordering.identity(ACCOUNT, "k", ORDER), ordering.identity(ACCOUNT, "k", NewOrder(ORDER.lines, "USD"))

    assert same.external == other.external
    assert same.digest != other.digest
    assert ordering.identity("001000000000002AAA", "k", ORDER).external != same.external
    assert ordering.identity(ACCOUNT, "K", ORDER).external != same.external


def test_every_line_is_priced_from_the_one_book_that_sells_them_all() -> None:
    price = ordering.priced(ORDER, [offer("A"), offer("B"), offer("A", "other")])

    assert price.book_id == "book"
    assert [(each.entry_id, quantity) for each, quantity in price.lines] == [("entry-A-book", 2), ("entry-B-book", 1)]


def test_what_has_no_price_is_named() -> None:
    with pytest.raises(NotOffered) as caught:
        ordering.priced(ORDER, [offer("A")])

    assert (caught.value.skus, caught.value.reason) == (["B"], "not_offered")


def test_lines_that_no_single_book_sells_are_not_offered() -> None:
    with pytest.raises(NotOffered) as caught:
        ordering.priced(ORDER, [offer("A"), offer("B", "other")])

    assert caught.value.skus == ["A", "B"]


def test_two_books_that_sell_everything_leave_the_price_open() -> None:
    with pytest.raises(NotOffered) as caught:
        ordering.priced(ORDER, [offer(sku, book) for sku in "AB" for book in ("one", "two")])

    assert caught.value.reason == "ambiguous_price"


def test_an_order_its_lines_and_its_read_are_one_call_and_an_insert() -> None:
    price = ordering.priced(ORDER, [offer("A"), offer("B")])

    parts = ordering.parts(MAPPING, ordering.identity(ACCOUNT, "k", ORDER), "JPY", price, date(2026, 11, 25))

    assert [(part.method, part.path.partition("?")[0]) for part in parts] == [
        ("POST", "sobjects/Order"),
        ("POST", "sobjects/OrderItem"),
        ("POST", "sobjects/OrderItem"),
        ("GET", "sobjects/Order/@{order.id}"),
    ]
    assert parts[0].body is not None
    assert parts[0].body["Status"] == "Draft"
    assert len(str(parts[0].body["Umbra_Idempotency_Key__c"])) == 64
    assert parts[1].body == {
        "OrderId": "@{order.id}",
        "PricebookEntryId": "entry-A-book",
        "Quantity": 2,
        "UnitPrice": Decimal(100),
    }


def test_the_draft_carries_the_orders_created_second_so_every_try_tells_the_same() -> None:
    who = ordering.identity(ACCOUNT, "k", ORDER)
    record = {
        "Id": ORDER_ID,
        "IsDeleted": False,
        "SystemModstamp": "2026-11-02T03:04:05.000+0000",
        "AccountId": ACCOUNT,
        "OrderNumber": "00000001",
        "Status": "Activating",
        "EffectiveDate": "2026-11-02",
        "TotalAmount": 200.0,
        "CurrencyIsoCode": "JPY",
        "CreatedDate": "2026-11-02T03:04:05.678+0000",
    }

    first = ordering.placed(MAPPING, Shapes(MAPPING), who, record, [], R0)
    again = ordering.placed(MAPPING, Shapes(MAPPING), who, record, [], R0 + 60_000)

    assert first.draft == again.draft
    assert first.draft.occurred_at == datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC)
    assert first.order.status == "Draft"
    assert first.order.status_version == first.draft.version
    assert first.change.version == versions.read_version(R0)
    assert first.order.total_amount == "200.00"
