"""The projection as a function: what a state shows, and the reason when it does not."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest

from schemas import mapping, versions
from schemas.join import ALIVE, State
from schemas.versions import LOWEST_STATUS, Version
from services.projector import project
from services.projector.batch import Key
from services.projector.rows import Entry, Hidden, Order, Product
from services.projector.statuses import Shown

MAPPING = mapping.load()
AT = 1_793_588_645_000
BASE = versions.read_version(AT + versions.DEFAULT_MARGIN_MS)


def state(*, alive: bool | None = True, base: Version | None = BASE, **payload: Any) -> State:
    return State(payload=payload if alive is None else {**payload, ALIVE: not alive}, base=base)


def product(**payload: Any) -> Product | Hidden | None:
    known = {"StockKeepingUnit": "INT-1", "Name": "Home Gold"}
    return project.product(MAPPING.objects["Product2"], "01t", state(**{**known, **payload}))


def entry(**payload: Any) -> Entry | Hidden | None:
    known = {
        "Product2Id": "01t",
        "Pricebook2Id": "01s",
        "UnitPrice": "4980",
        "CurrencyIsoCode": "JPY",
        "IsActive": False,
    }
    return project.entry(MAPPING.objects["PricebookEntry"], "01u", state(**{**known, **payload}))


def test_a_complete_product_is_as_old_as_its_newest_version() -> None:
    row = product(IsActive=True)

    assert isinstance(row, Product)
    assert (row.sku, row.active, row.updated_at) == ("INT-1", True, versions.moment(AT))


def test_a_dead_product_shows_nothing_and_hides_nothing() -> None:
    assert product(alive=False) is None


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        ({"Name": None}, "Name"),
        ({"Name": None, "StockKeepingUnit": None}, "StockKeepingUnit, Name"),
        ({"alive": None}, "IsDeleted"),
    ],
)
def test_an_incomplete_product_names_what_is_missing(payload: dict[str, Any], detail: str) -> None:
    assert product(**payload) == Hidden("incomplete", detail)


def test_an_inactive_entry_is_shown_as_inactive() -> None:
    row = entry()

    assert isinstance(row, Entry)
    assert (row.unit_price, row.is_active) == (Decimal("4980"), False)


@pytest.mark.parametrize("price", ["0.001", "-0.005", "10000000000", "-10000000000.00"])
def test_a_price_that_does_not_fit_is_never_rounded(price: str) -> None:
    assert entry(UnitPrice=price) == Hidden("price_out_of_range")


@pytest.mark.parametrize("price", ["0", "9999999999.99", "-0.01", "19.9"])
def test_a_price_that_fits_is_exact(price: str) -> None:
    row = entry(UnitPrice=price)

    assert isinstance(row, Entry)
    assert row.unit_price == Decimal(price)


def test_a_value_of_another_type_than_its_column_hides_the_record() -> None:
    assert isinstance(entry(UnitPrice="many"), Hidden)
    assert isinstance(entry(IsActive="perhaps"), Hidden)


def test_a_constant_fills_a_column_that_no_field_does() -> None:
    of = MAPPING.objects["PricebookEntry"]
    fields = {name: field for name, field in of.fields.items() if name != "CurrencyIsoCode"}
    single = dataclasses.replace(of, fields=fields, constants={"currency_iso_code": "JPY"})
    known = state(Product2Id="01t", Pricebook2Id="01s", UnitPrice="4980", IsActive=True)

    row = project.entry(single, "01u", known)

    assert isinstance(row, Entry)
    assert row.currency_iso_code == "JPY"


def test_only_what_could_be_shown_competes() -> None:
    claims = [
        project.claim(MAPPING, Key("Product2", "01t"), each)
        for each in (
            state(StockKeepingUnit="A", Name="N"),
            state(StockKeepingUnit="A"),
            state(StockKeepingUnit="A", Name="N", alive=False),
        )
    ]

    assert claims == ["A", None, None]


def order(shown: Shown | None = None, **payload: Any) -> Order:
    row = project.order(MAPPING.objects["Order"], "801", state(**payload), shown)
    assert isinstance(row, Order)
    return row


def test_an_order_total_that_does_not_fit_is_left_out_and_the_order_shown() -> None:
    assert order(TotalAmount="1.005").total_amount is None


def test_an_order_shows_salesforces_status_only_while_the_log_has_none() -> None:
    version = versions.status_version(AT + 1000, "salesforce", 1, 1, False, "e")

    alone, told = order(Status="Draft"), order(Shown(version, "Activating", "SIM_SHIPPED"), Status="Draft")

    assert (alone.status, alone.status_version) == ("Draft", LOWEST_STATUS)
    assert (told.status, told.status_reason, told.status_version) == ("Activating", "SIM_SHIPPED", version)
    assert (alone.updated_at, told.updated_at) == (versions.moment(AT), versions.moment(AT + 1000))
