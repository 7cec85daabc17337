"""What a new projection would change: the rows and what is hidden, beside what the state says under a mapping.

Reads only, in slices by id; of the products it holds one id for each SKU.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from schemas.join import State
from schemas.mapping import Mapping as FieldMapping
from services.projector import personal, project, shown, states
from services.projector.batch import Key
from services.projector.link import Link
from services.projector.reproject import NAMES, SLICE
from services.projector.rows import ACCOUNT, ENTRY, ORDER, PRODUCT, Eligibility, Entry, Hidden, Order, Product
from services.projector.states import GONE
from services.projector.statuses import Statuses

Shown = Product | Entry | Eligibility | Order
Made = Shown | Hidden | None
Judge = Callable[[str, State], Made]
"""What one record shows, by its id and state."""

_KINDS: dict[str, Any] = {PRODUCT: Product, ENTRY: Entry, ACCOUNT: Eligibility, ORDER: Order}


@dataclass(slots=True)
class Difference:
    """How many records: looked at; rows that would appear, change, go; that would be hidden, or for another reason;
    that would be hidden no longer; claims and sentences that would become others."""

    records: int = 0
    appear: int = 0
    change: int = 0
    go: int = 0
    hide: int = 0
    unhide: int = 0
    claims: int = 0
    messages: int = 0

    @property
    def rows(self) -> int:
        return self.appear + self.change + self.go

    @property
    def any(self) -> bool:
        return any(count for name, count in asdict(self).items() if name != "records")

    def add(self, old: Shown | None, new: Made, was: Hidden | None) -> None:
        row = None if isinstance(new, Hidden) else new
        hidden = new if isinstance(new, Hidden) else None
        self.records += 1
        self.appear += old is None and row is not None
        self.go += old is not None and row is None
        self.change += old is not None and row is not None and old != row
        self.hide += hidden is not None and hidden != was
        self.unhide += hidden is None and was is not None


async def of(link: Link, mapping: FieldMapping, name: str, *, with_products: bool = False) -> Difference:
    """One object in one snapshot. with_products: of price entries, when their products are projected anew as well."""
    found = Difference()
    async with link.connection.transaction(isolation="repeatable_read", readonly=True):
        if name == ORDER:
            await _orders(link, mapping, found)
        else:
            judge = await _judge(link, mapping, name, with_products=with_products)
            async for ids in _slices(link, name):
                await _compare(link, mapping, name, ids, judge, found)
    return found


async def _slices(link: Link, name: str) -> AsyncIterator[list[str]]:
    after = ""
    while ids := [row[0] for row in await link.rows(f"{NAMES[name]}_slice", after, SLICE)]:
        yield ids
        after = ids[-1]


async def _judge(link: Link, mapping: FieldMapping, name: str, *, with_products: bool) -> Judge:
    if name == ACCOUNT:
        return lambda record_id, state: project.eligibility(mapping.objects[ACCOUNT], record_id, state)
    if name == PRODUCT:
        return _by_winner(mapping, await _winners(link, mapping))
    shown_ids = set((await _winners(link, mapping)).values()) if with_products else await _shown_products(link)
    return _by_product(mapping, shown_ids)


def _by_winner(mapping: FieldMapping, winners: Mapping[str, str]) -> Judge:
    def judge(record_id: str, state: State) -> Made:
        row = project.product(mapping.objects[PRODUCT], record_id, state)
        if isinstance(row, Product) and winners[row.sku] != record_id:
            return Hidden("sku_taken", winners[row.sku])
        return row

    return judge


def _by_product(mapping: FieldMapping, products: set[str]) -> Judge:
    def judge(record_id: str, state: State) -> Made:
        row = project.entry(mapping.objects[ENTRY], record_id, state)
        if isinstance(row, Entry) and row.product_id not in products:
            return Hidden("product_hidden", row.product_id)
        return row

    return judge


async def _winners(link: Link, mapping: FieldMapping) -> dict[str, str]:
    """Who is shown under each SKU, by the rule of `project.winner`."""
    best: dict[str, tuple[bool, str]] = {}
    async for ids in _slices(link, PRODUCT):
        for key, state in (await states.read(link, [Key(PRODUCT, each) for each in ids])).items():
            row = project.product(mapping.objects[PRODUCT], key.record_id, state)
            if isinstance(row, Product):
                rank = (not row.active, row.product_id)
                best[row.sku] = min(best.get(row.sku, rank), rank)
    return {sku: record_id for sku, (_, record_id) in best.items()}


async def _shown_products(link: Link) -> set[str]:
    found: set[str] = set()
    after = ""
    while ids := [row[0] for row in await link.rows("shown_products", after, SLICE)]:
        found.update(ids)
        after = ids[-1]
    return found


async def _orders(link: Link, mapping: FieldMapping, found: Difference) -> None:
    async for ids in _slices(link, ORDER):
        known = await personal.read_statuses(link, ids)
        await _compare(link, mapping, ORDER, ids, _by_status(mapping, known), found)
        for row in await link.rows("messages_read", ids):
            found.messages += row["message"] != mapping.order_status.message(row["status"], row["reason"])


def _by_status(mapping: FieldMapping, known: Mapping[str, Statuses]) -> Judge:
    def judge(record_id: str, state: State) -> Made:
        said = known.get(record_id)
        return project.order(mapping.objects[ORDER], record_id, state, None if said is None else said.shown())

    return judge


async def _compare(
    link: Link, mapping: FieldMapping, name: str, ids: list[str], judge: Judge, found: Difference
) -> None:
    known = await states.read(link, [Key(name, each) for each in ids])
    more: list[list[str]] = [[]] if name in (PRODUCT, ENTRY) else []
    rows = await shown.read(link, _KINDS[name], ids, *more)
    hidden = {row[0]: Hidden(row[1], row[2]) for row in await link.rows("hidden_read", name, ids)}
    claims = {row[0]: row[1] for row in await link.rows("claims_read", name, ids)}
    for each in ids:
        state = known.get(Key(name, each), GONE)
        found.add(rows.get(each), judge(each, state), hidden.get(each))
        found.claims += each in claims and claims[each] != project.claim(mapping, Key(name, each), state)
