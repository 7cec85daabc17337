"""The JSON of every answer and body: one typed definition each, from which /openapi.json is made too. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Moment = Annotated[
    str, Meta(description="ISO 8601 in UTC, with milliseconds and Z", examples=["2026-11-25T10:20:30.000Z"])
]
Money = Annotated[str, Meta(description="A decimal number with two places", examples=["4980.00"])]
SalesforceId = Annotated[str, Meta(description="18-character Salesforce id")]
Sku = Annotated[str, Meta(min_length=1, max_length=180)]
WantedSku = Annotated[str, Meta(min_length=1, max_length=180, pattern="^[^\\u0000]+$")]
"""No record's text holds a NUL, and Postgres takes none."""

MOST_LINES = 20
"""With its order and the read that ends it, an order stays within the 25 parts of one composite call."""


class Price(Struct, frozen=True, rename="camel", gc=False):
    """One active entry of a price book."""

    pricebook_entry_id: SalesforceId
    product_id: SalesforceId
    sku: Sku
    pricebook_id: SalesforceId
    unit_price: Money
    currency: str
    updated_at: Moment


class Product(Struct, frozen=True, rename="camel", gc=False):
    """One product that is sold, with its prices. `extra` holds mapped fields that have no column."""

    product_id: SalesforceId
    sku: Sku
    name: str
    item_class: str | None
    offering_type: str | None
    plan_tier: str | None
    vpn_region: str | None
    updated_at: Moment
    prices: list[Price]
    extra: dict[str, Any]


class Products(Struct, frozen=True):
    products: list[Product]


class Prices(Struct, frozen=True):
    prices: list[Price]


class Eligibility(Struct, frozen=True, rename="camel", gc=False):
    """What an account's line can carry."""

    account_id: SalesforceId
    internet_eligibility: str | None
    eligibility_source: str | None
    updated_at: Moment
    extra: dict[str, Any]


class InternetPlans(Struct, frozen=True):
    """The internet plans that the caller's line admits; `reason` says why there is none."""

    eligibility: Eligibility
    plans: list[Product]
    reason: Annotated[str | None, Meta(examples=["not_eligible", "pending", "not_checked"])] = None


class Line(Struct, frozen=True, rename="camel", gc=False):
    sku: Sku
    name: str | None
    quantity: int
    unit_price: Money


class Order(Struct, frozen=True, rename="camel", gc=False):
    """An order. `statusVersion` orders its statuses as texts: what is not greater than the one shown is old news."""

    order_id: SalesforceId
    order_number: str | None
    status: str | None
    status_reason: str | None
    status_version: str
    terminal: bool
    effective_date: Annotated[str | None, Meta(description="YYYY-MM-DD")]
    total_amount: Money | None
    currency: str | None
    created_at: Moment | None
    updated_at: Moment
    lines: list[Line] | UnsetType = UNSET


class Orders(Struct, frozen=True):
    orders: list[Order]


class WantedLine(Struct, frozen=True, forbid_unknown_fields=True):
    sku: WantedSku
    quantity: Annotated[int, Meta(ge=1, le=999)] = 1


class NewOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """Prices come from the catalog, the account from the token."""

    lines: Annotated[list[WantedLine], Meta(min_length=1, max_length=MOST_LINES)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3)]


class NewStatus(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """occurredAt is now where it is absent, and at most two seconds after the receipt."""

    status: Annotated[str, Meta(min_length=1, max_length=80)]
    reason: Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,63}$(?!\n)")] | None = None
    occurred_at: Annotated[datetime, Meta(tz=True)] | None = None


class StatusTaken(Struct, frozen=True, rename="camel"):
    order_id: SalesforceId
    status: str
    message: str | None
    reason: str | None
    timestamp: Moment
    source: str
    version: str
    terminal: bool


class ProblemDocument(Struct, frozen=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str | None = None


encode = msgspec.json.Encoder(decimal_format="string").encode
