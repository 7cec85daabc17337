"""Records in canonical form as answers, by the mapping: the same shape from a shadow row and from a live read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, NamedTuple

from schemas import versions
from schemas.events import stamp
from schemas.join import State
from schemas.mapping import Mapping as FieldMapping
from schemas.mapping import ObjectMapping
from schemas.versions import LOWEST_STATUS
from services.gateway.answers import Eligibility, Order, Price, Product

PRODUCT, ENTRY, ACCOUNT, ORDER = "Product2", "PricebookEntry", "Account", "Order"

_CENT = Decimal("0.01")
_PRICE, _TOTAL = Decimal(10) ** 10, Decimal(10) ** 16
"""Limits of NUMERIC(12,2) and NUMERIC(18,2) in the shadow; what does not fit is not shown, never rounded."""


class Status(NamedTuple):
    """The status that an order shows."""

    status: str | None
    reason: str | None
    version: str


class Columns:
    """Values of one object's columns in a payload, and its fields that have no column."""

    def __init__(self, mapping: ObjectMapping) -> None:
        self.name = mapping.name
        self._constants = mapping.constants
        self._fields = {field.column: field.name for field in mapping.fields.values() if field.column}
        self._extra = [(f.name, f.answer) for f in mapping.fields.values() if f.answer and not f.column]
        self._required = [f.name for f in mapping.fields.values() if f.required]

    def text(self, column: str, payload: Mapping[str, Any]) -> str | None:
        if column in self._constants:
            return self._constants[column]
        value = payload.get(self._fields.get(column, ""))
        if isinstance(value, bool):
            return "true" if value else "false"
        return None if value is None else str(value)

    def columnless(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        return {answer: payload[name] for name, answer in self._extra if name in payload}

    def complete(self, payload: Mapping[str, Any]) -> bool:
        """Whether a living record with these fields is shown, as far as it alone decides."""
        return all(payload.get(name) is not None for name in self._required)


class Shapes:
    def __init__(self, mapping: FieldMapping) -> None:
        self._products = Columns(mapping.objects[PRODUCT])
        self._entries = Columns(mapping.objects[ENTRY])
        self._accounts = Columns(mapping.objects[ACCOUNT])
        self._orders = Columns(mapping.objects[ORDER])
        self._terminal = mapping.order_status.terminal

    def product(self, record_id: str, payload: Mapping[str, Any], updated_at: str, prices: list[Price]) -> Product:
        text = self._products.text
        return Product(
            product_id=record_id,
            sku=text("sku", payload) or "",
            name=text("name", payload) or "",
            item_class=text("item_class", payload),
            offering_type=text("offering_type", payload),
            plan_tier=text("plan_tier", payload),
            vpn_region=text("vpn_region", payload),
            updated_at=updated_at,
            prices=prices,
            extra=self._products.columnless(payload),
        )

    def eligibility(self, record_id: str, payload: Mapping[str, Any], updated_at: str) -> Eligibility:
        text = self._accounts.text
        return Eligibility(
            account_id=record_id,
            internet_eligibility=text("internet_eligibility", payload),
            eligibility_source=text("eligibility_source", payload),
            updated_at=updated_at,
            extra=self._accounts.columnless(payload),
        )

    def order(self, record_id: str, payload: Mapping[str, Any], updated_at: str, status: Status) -> Order:
        text = self._orders.text
        total = decimal(text("total_amount", payload))
        return Order(
            order_id=record_id,
            order_number=text("order_number", payload),
            status=status.status,
            status_reason=status.reason,
            status_version=status.version,
            terminal=status.status in self._terminal,
            effective_date=text("effective_date", payload),
            total_amount=None if total is None or not fits(total, _TOTAL) else money(total),
            currency=text("currency_iso_code", payload),
            created_at=text("created_date", payload),
            updated_at=updated_at,
        )

    def account_of(self, payload: Mapping[str, Any]) -> str | None:
        """Whose an order is."""
        return self._orders.text("account_id", payload)

    def sku_of(self, payload: Mapping[str, Any]) -> str | None:
        return self._products.text("sku", payload)

    def class_of(self, payload: Mapping[str, Any]) -> str | None:
        return self._products.text("item_class", payload)

    def product_of(self, payload: Mapping[str, Any]) -> str | None:
        """The product of a price entry."""
        return self._entries.text("product_id", payload)

    def offered(self, products: Mapping[str, State], entries: Mapping[str, State], book: str | None) -> list[Product]:
        """Products on sale among these records, with their active prices."""
        prices: dict[str, list[Price]] = {}
        sold = {key: state for key, state in products.items() if self._sold(state)}
        for record_id, state in entries.items():
            product_id = self.product_of(state.payload)
            sku = self.sku_of(sold[product_id].payload) if product_id in sold else None
            price = self._price(record_id, state, sku or "", book)
            if price is not None and product_id in sold:
                prices.setdefault(product_id, []).append(price)
        return [
            self.product(key, state.payload, updated(state), in_order(prices.get(key, ())))
            for key, state in _one_per_sku(self, sold)
        ]

    def _sold(self, state: State) -> bool:
        return state.alive and state.payload.get("IsActive") is True and self._products.complete(state.payload)

    def _price(self, record_id: str, state: State, sku: str, book: str | None) -> Price | None:
        text = self._entries.text
        number = decimal(text("unit_price", state.payload))
        product_id, pricebook_id = text("product_id", state.payload), text("pricebook_id", state.payload)
        currency, active = text("currency_iso_code", state.payload), text("is_active", state.payload)
        if not state.alive or active != "true" or number is None or not fits(number, _PRICE):
            return None
        if product_id is None or pricebook_id is None or currency is None or book not in (None, pricebook_id):
            return None
        return Price(record_id, product_id, sku, pricebook_id, money(number), currency, updated(state))


def _one_per_sku(shapes: Shapes, sold: Mapping[str, State]) -> Iterable[tuple[str, State]]:
    """Of the products that want one SKU, all of them active, the one with the smallest id: the projector's rule."""
    taken: set[str | None] = set()
    for key in sorted(sold):
        sku = shapes.sku_of(sold[key].payload)
        if sku not in taken:
            taken.add(sku)
            yield key, sold[key]


def in_order(prices: Iterable[Price]) -> list[Price]:
    return sorted(prices, key=lambda price: (price.currency, price.pricebook_entry_id))


def for_display(products: Iterable[Product]) -> Sequence[Product]:
    """By class and offering, the cheapest first."""
    return sorted(products, key=_place)


def _place(product: Product) -> tuple[str, str, Decimal, str]:
    cheapest = Decimal(product.prices[0].unit_price) if product.prices else Decimal(0)
    return product.item_class or "", product.offering_type or "", cheapest, product.sku


def status_of(state: State) -> Status:
    """The status of an order that no log speaks of: Salesforce's own, under the lowest version."""
    value = state.payload.get("Status")
    return Status(None if value is None else str(value), None, LOWEST_STATUS)


def updated(state: State) -> str:
    """The time of the newest version in a state, as answers give it."""
    newest = state.newest
    return stamp(versions.moment(0 if newest is None else versions.at_ms(newest)))


def decimal(text: str | None) -> Decimal | None:
    try:
        number = None if text is None else Decimal(text)
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def fits(number: Decimal, limit: Decimal) -> bool:
    return abs(number) < limit and number == number.quantize(_CENT, ROUND_HALF_EVEN)


def money(number: Decimal) -> str:
    return format(number.quantize(_CENT, ROUND_HALF_EVEN), "f")
