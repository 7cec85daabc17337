"""The shadow tables as a pure function of the state: which rows are shown, and why a record is not.

Nothing here knows the order in which things arrived. `shadow` says the whole of it at once; the writers of
`catalog`, `accounts` and `orders` keep the tables equal to it one batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from schemas import versions
from schemas.join import State
from schemas.mapping import Mapping as FieldMapping
from schemas.mapping import ObjectMapping
from schemas.versions import LOWEST_STATUS
from services.projector.batch import Key
from services.projector.rows import ENTRY, PRODUCT, Eligibility, Entry, Hidden, Order, Product, Shadow
from services.projector.statuses import Shown, Statuses


def product(mapping: ObjectMapping, record_id: str, state: State) -> Product | Hidden | None:
    """What a product would show if it won its SKU; None for a dead one."""
    row = _Columns(mapping, state)
    sku, name = row.text("sku"), row.text("name")
    if state.deleted:
        return None
    if sku is None or name is None or not row.complete("sku", "name"):
        return row.incomplete("sku", "name")
    return Product(
        product_id=record_id,
        sku=sku,
        name=name,
        item_class=row.text("item_class"),
        offering_type=row.text("offering_type"),
        plan_tier=row.text("plan_tier"),
        vpn_region=row.text("vpn_region"),
        updated_at=_updated_at(state),
        raw_payload=state.payload,
        active=state.payload.get("IsActive") is True,
    )


_ENTRY_NOT_NULL = ("product_id", "pricebook_id", "unit_price", "currency_iso_code", "is_active")


def entry(mapping: ObjectMapping, record_id: str, state: State) -> Entry | Hidden | None:
    """What a price entry shows once its product is shown; None for a dead one."""
    row = _Columns(mapping, state)
    if state.deleted:
        return None
    product_id, pricebook_id = row.text("product_id"), row.text("pricebook_id")
    price, currency, active = row.number("unit_price"), row.text("currency_iso_code"), row.truth("is_active")
    if not row.complete(*_ENTRY_NOT_NULL):
        return row.incomplete(*_ENTRY_NOT_NULL)
    if product_id is None or pricebook_id is None or price is None or currency is None or active is None:
        return row.incomplete(*_ENTRY_NOT_NULL)
    if not fits(price, 12):
        return Hidden("price_out_of_range")
    updated_at = _updated_at(state)
    return Entry(record_id, product_id, pricebook_id, price, currency, active, updated_at, state.payload)


def eligibility(mapping: ObjectMapping, record_id: str, state: State) -> Eligibility | Hidden | None:
    row = _Columns(mapping, state)
    if state.deleted:
        return None
    if not row.complete():
        return row.incomplete()
    return Eligibility(
        account_id=record_id,
        internet_eligibility=row.text("internet_eligibility"),
        eligibility_source=row.text("eligibility_source"),
        updated_at=_updated_at(state),
        raw_payload=state.payload,
    )


def order(mapping: ObjectMapping, record_id: str, state: State, shown: Shown | None) -> Order | Hidden | None:
    """An order's row. Without a status from the log it shows Salesforce's own, under the lowest version."""
    row = _Columns(mapping, state)
    if state.deleted:
        return None
    if not row.complete():
        return row.incomplete()
    total = row.number("total_amount")
    status_at = None if shown is None else versions.moment(versions.at_ms(shown.version))
    return Order(
        order_id=record_id,
        account_id=row.text("account_id"),
        order_number=row.text("order_number"),
        effective_date=row.day("effective_date"),
        total_amount=total if total is not None and fits(total, 18) else None,
        currency_iso_code=row.text("currency_iso_code"),
        created_date=row.moment("created_date"),
        status=_text(state.payload.get("Status")) if shown is None else shown.status,
        status_reason=None if shown is None else shown.reason,
        status_version=LOWEST_STATUS if shown is None else shown.version,
        updated_at=max(_updated_at(state), status_at or _updated_at(state)),
        raw_payload=state.payload,
    )


def winner(candidates: Iterable[Product]) -> Product:
    """Of the living, complete products that want one SKU: an active one first, then the smallest id."""
    return min(candidates, key=lambda each: (not each.active, each.product_id))


def claim(mapping: FieldMapping, key: Key, state: State) -> str | None:
    """What a record competes for or hangs on: a product's SKU, an entry's product. None where it cannot be shown."""
    if key.object == PRODUCT:
        row = product(mapping.objects[PRODUCT], key.record_id, state)
        return row.sku if isinstance(row, Product) else None
    if key.object == ENTRY:
        price = entry(mapping.objects[ENTRY], key.record_id, state)
        return price.product_id if isinstance(price, Entry) else None
    return None


def shadow(mapping: FieldMapping, states: Mapping[Key, State], statuses: Mapping[str, Statuses]) -> Shadow:
    """The whole projection of a whole state."""
    made = Shadow()
    wanted: dict[str, list[Product]] = {}
    prices: list[Entry] = []
    for key, state in states.items():
        match _row(mapping, key, state, statuses):
            case Product() as row:
                wanted.setdefault(row.sku, []).append(row)
            case Entry() as row:
                prices.append(row)
            case Eligibility() as row:
                made.accounts[key.record_id] = row
            case Order() as row:
                made.orders[key.record_id] = row
            case Hidden() as hidden:
                made.hidden[key] = hidden
    for candidates in wanted.values():
        _settle(made, candidates)
    for price in prices:
        if price.product_id in made.products:
            made.entries[price.pricebook_entry_id] = price
        else:
            made.hidden[Key(ENTRY, price.pricebook_entry_id)] = Hidden("product_hidden", price.product_id)
    return made


def _settle(made: Shadow, candidates: list[Product]) -> None:
    first = winner(candidates)
    made.products[first.product_id] = first
    for loser in candidates:
        if loser.product_id != first.product_id:
            made.hidden[Key(PRODUCT, loser.product_id)] = Hidden("sku_taken", first.product_id)


def _row(
    mapping: FieldMapping, key: Key, state: State, statuses: Mapping[str, Statuses]
) -> Product | Entry | Eligibility | Order | Hidden | None:
    of = mapping.objects[key.object]
    match key.object:
        case "Product2":
            return product(of, key.record_id, state)
        case "PricebookEntry":
            return entry(of, key.record_id, state)
        case "Account":
            return eligibility(of, key.record_id, state)
        case "Order":
            known = statuses.get(key.record_id)
            return order(of, key.record_id, state, None if known is None else known.shown())
        case _:
            raise NotImplementedError(f"{key.object} has a topic and no row")


def fits(number: Decimal, precision: int) -> bool:
    """Whether a number can be kept exactly as NUMERIC(precision, 2)."""
    cents = number * 100
    return cents == cents.to_integral_value() and abs(cents) < 10**precision


def _updated_at(state: State) -> datetime:
    newest = state.newest
    return versions.moment(versions.at_ms(newest)) if newest is not None else datetime.fromtimestamp(0, UTC)


class _Columns:
    """Values of a state's columns by the mapping. A value that does not read as its column's type counts as none."""

    __slots__ = ("_mapping", "_state")

    def __init__(self, mapping: ObjectMapping, state: State) -> None:
        self._mapping = mapping
        self._state = state

    def complete(self, *not_null: str) -> bool:
        if not self._state.alive or self._mapping.missing(self._state.payload):
            return False
        return all(self._value(column) is not None for column in not_null)

    def incomplete(self, *not_null: str) -> Hidden:
        missing = self._missing(not_null)
        if not self._state.alive:
            missing = ["IsDeleted", *missing]
        return Hidden("incomplete", ", ".join(missing) or "unreadable")

    def _missing(self, not_null: tuple[str, ...]) -> list[str]:
        names = list(self._mapping.missing(self._state.payload))
        for column in not_null:
            if self._value(column) is None:
                source = self._mapping.field_of(column)
                names.append(column if source is None else source.name)
        return list(dict.fromkeys(names))

    def _value(self, column: str) -> Any:
        return self._mapping.value_of(column, self._state.payload)

    def text(self, column: str) -> str | None:
        return _text(self._value(column))

    def number(self, column: str) -> Decimal | None:
        text = self.text(column)
        try:
            number = None if text is None else Decimal(text)
        except InvalidOperation:
            return None
        return number if number is not None and number.is_finite() else None

    def truth(self, column: str) -> bool | None:
        return {"true": True, "false": False}.get(self.text(column) or "")

    def day(self, column: str) -> date | None:
        text = self.text(column)
        try:
            return None if text is None else date.fromisoformat(text)
        except ValueError:
            return None

    def moment(self, column: str) -> datetime | None:
        text = self.text(column)
        try:
            found = None if text is None else datetime.fromisoformat(text)
        except ValueError:
            return None
        return found if found is not None and found.tzinfo is not None else None


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
