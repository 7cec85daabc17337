"""Rows of the shadow tables, as values. Field names are column names; the first one is the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from schemas.versions import StatusVersion
from services.projector.batch import Key

PRODUCT, ENTRY, ACCOUNT, ORDER = "Product2", "PricebookEntry", "Account", "Order"


@dataclass(frozen=True, slots=True)
class Product:
    """A row of sf_product_shadow. `active` ranks products that want one SKU; it is no column."""

    product_id: str
    sku: str
    name: str
    item_class: str | None
    offering_type: str | None
    plan_tier: str | None
    vpn_region: str | None
    updated_at: datetime
    raw_payload: Mapping[str, Any]
    active: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of sf_pricebook_shadow."""

    pricebook_entry_id: str
    product_id: str
    pricebook_id: str
    unit_price: Decimal
    currency_iso_code: str
    is_active: bool
    updated_at: datetime
    raw_payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Eligibility:
    """A row of sf_account_eligibility_shadow."""

    account_id: str
    internet_eligibility: str | None
    eligibility_source: str | None
    updated_at: datetime
    raw_payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """A row of sf_order_shadow."""

    order_id: str
    account_id: str | None
    order_number: str | None
    effective_date: date | None
    total_amount: Decimal | None
    currency_iso_code: str | None
    created_date: datetime | None
    status: str | None
    status_reason: str | None
    status_version: StatusVersion
    updated_at: datetime
    raw_payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hidden:
    """Kept and not shown.

    reason: incomplete, sku_taken, product_hidden, price_out_of_range
    detail: the missing fields, or the id of the record that stands in the way
    """

    reason: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Shadow:
    """All rows of the shadow tables by id, and all that is hidden."""

    products: dict[str, Product] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    accounts: dict[str, Eligibility] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    hidden: dict[Key, Hidden] = field(default_factory=dict)
