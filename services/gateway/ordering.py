"""An order before it is one: its identity, its price, the call that makes it, the status that tells of it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from msgspec import structs

from schemas import versions
from schemas.events import OrderStatus, RecordChange
from schemas.join import state_of
from schemas.mapping import Mapping as FieldMapping
from schemas.mapping import ObjectMapping
from services.gateway import answers
from services.gateway.answers import Line, NewOrder, Order
from services.gateway.shapes import ORDER, PRODUCT, Shapes, Status, money, updated
from services.salesforce import canonical, changes
from services.salesforce.rest import SubRequest

DRAFT = "Draft"
KEY_FIELD, HASH_FIELD = "Umbra_Idempotency_Key__c", "Umbra_Request_Hash__c"
"""On Order: a unique external id, and the hash of the request that made it."""


class NotOffered(Exception):
    """skus: those that have no price in the currency, or more than one book's"""

    def __init__(self, skus: Sequence[str], reason: str) -> None:
        super().__init__(reason)
        self.skus = list(skus)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Identity:
    """external: one for every account and Idempotency-Key; digest: of what was asked for"""

    account_id: str
    external: str
    digest: str


def identity(account_id: str, key: str, order: NewOrder) -> Identity:
    external = hashlib.sha256(f"{account_id}\n{key}".encode()).hexdigest()
    return Identity(account_id, external, hashlib.sha256(answers.encode(order)).hexdigest())


@dataclass(frozen=True, slots=True)
class Offer:
    """One price of one product on sale."""

    sku: str
    name: str
    entry_id: str
    book_id: str
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Priced:
    book_id: str
    lines: list[tuple[Offer, int]]


def priced(order: NewOrder, offers: Iterable[Offer]) -> Priced:
    """Every line at its price, all from one book. Raises NotOffered."""
    by_book: dict[str, dict[str, Offer]] = {}
    for offer in offers:
        by_book.setdefault(offer.book_id, {})[offer.sku] = offer
    wanted = {line.sku for line in order.lines}
    books = [book for book, sold in by_book.items() if wanted <= sold.keys()]
    if len(books) > 1:
        raise NotOffered(sorted(wanted), "ambiguous_price")
    if not books:
        sold = {sku for offers_of in by_book.values() for sku in offers_of}
        raise NotOffered(sorted(wanted - sold) or sorted(wanted), "not_offered")
    own = by_book[books[0]]
    return Priced(books[0], [(own[line.sku], line.quantity) for line in order.lines])


def parts(mapping: FieldMapping, who: Identity, currency: str, price: Priced, today: date) -> list[SubRequest]:
    """One composite call: the order, its lines, and the read of what became of them."""
    of = mapping.objects[ORDER]
    order = {
        _field(of, "account_id", "AccountId"): who.account_id,
        _field(of, "effective_date", "EffectiveDate"): today.isoformat(),
        "Status": DRAFT,
        "Pricebook2Id": price.book_id,
        KEY_FIELD: who.external,
        HASH_FIELD: who.digest,
    }
    named = of.field_of("currency_iso_code")
    if named is not None:
        order[named.name] = currency
    fields = quote(",".join(of.select), safe=",")
    return [
        SubRequest(method="POST", path=f"sobjects/{ORDER}", reference="order", body=order),
        *(_line(index, offer, quantity) for index, (offer, quantity) in enumerate(price.lines)),
        SubRequest(method="GET", path=f"sobjects/{ORDER}/@{{order.id}}?fields={fields}", reference="read"),
    ]


def _line(index: int, offer: Offer, quantity: int) -> SubRequest:
    body = {
        "OrderId": "@{order.id}",
        "PricebookEntryId": offer.entry_id,
        "Quantity": quantity,
        "UnitPrice": offer.unit_price,
    }
    return SubRequest(method="POST", path="sobjects/OrderItem", reference=f"line{index}", body=body)


def look_up(mapping: FieldMapping, external: str) -> list[SubRequest]:
    """One composite call that reads the order of an external id and its lines."""
    fields = quote(",".join([*mapping.objects[ORDER].select, HASH_FIELD]), safe=",")
    sku, name = (f"Product2.{_field(mapping.objects[PRODUCT], column, column)}" for column in ("sku", "name"))
    query = f"SELECT Quantity, UnitPrice, {sku}, {name} FROM OrderItem WHERE OrderId = '@{{order.Id}}' ORDER BY Id"  # noqa: S608 - names of the mapping
    return [
        SubRequest(method="GET", path=f"sobjects/{ORDER}/{KEY_FIELD}/{external}?fields={fields}", reference="order"),
        SubRequest(method="GET", path=f"query?q={quote(query, safe='@{}.')}", reference="lines"),
    ]


def found_lines(mapping: FieldMapping, records: Iterable[Mapping[str, Any]]) -> list[Line]:
    sku, name = (_field(mapping.objects[PRODUCT], column, column) for column in ("sku", "name"))
    return [
        Line(
            sku=record["Product2"][sku],
            name=record["Product2"][name],
            quantity=int(record["Quantity"]),
            unit_price=money(Decimal(str(record["UnitPrice"]))),
        )
        for record in records
    ]


def placed_lines(price: Priced) -> list[Line]:
    return [Line(offer.sku, offer.name, quantity, money(offer.unit_price)) for offer, quantity in price.lines]


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that Salesforce holds, and what the log is told of it.

    r0_ms: org-clock start of the call that wrote it, or of the one that found it
    """

    order: Order
    change: RecordChange
    draft: OrderStatus
    r0_ms: int


def placed(
    mapping: FieldMapping, shapes: Shapes, who: Identity, record: Mapping[str, Any], lines: list[Line], r0_ms: int
) -> Placed:
    """What an order's record says. The Draft status carries its CreatedDate, so every try tells the same one."""
    of = mapping.objects[ORDER]
    change = changes.snapshot(of, canonical.from_rest(of, record), r0_ms=r0_ms, origin="live")
    state = state_of(change)
    draft = draft_of(mapping, who, change, r0_ms)
    order = shapes.order(change.record_id, state.payload, updated(state), Status(DRAFT, None, draft.version))
    return Placed(structs.replace(order, lines=lines), change, draft, r0_ms)


def draft_of(mapping: FieldMapping, who: Identity, change: RecordChange, r0_ms: int) -> OrderStatus:
    """Its time is cut to the second, as Salesforce cuts that of its change events: it never stands above one of the
    same second, whose commit number alone knows the order."""
    created = change.fields.get(_field(mapping.objects[ORDER], "created_date", "CreatedDate"))
    at_ms = versions.millis(datetime.fromisoformat(str(created))) if created is not None else r0_ms
    at_ms = at_ms // 1000 * 1000
    terminal = DRAFT in mapping.order_status.terminal
    return OrderStatus(
        id=who.external,
        order_id=change.record_id,
        account_id=who.account_id,
        status=DRAFT,
        terminal=terminal,
        message=mapping.order_status.message(DRAFT, None),
        occurred_at=versions.moment(at_ms),
        source="salesforce",
        version=versions.status_version(at_ms, "salesforce", 0, 0, terminal, who.external),
    )


def _field(of: ObjectMapping, column: str, otherwise: str) -> str:
    field = of.field_of(column)
    return otherwise if field is None else field.name
