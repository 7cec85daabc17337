"""The catalog: products on sale and their prices in the book that is sold from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache

import msgspec

from schemas import tags, topics, versions
from schemas.events import stamp
from schemas.mapping import Mapping as FieldMapping
from services.gateway import answers, eligible, freshness
from services.gateway.answers import Price, Prices, Product, Products
from services.gateway.entry import ABSENT, Entry, entry
from services.gateway.live import Ask, Live
from services.gateway.postgres import Database
from services.gateway.resources import LIST_SECONDS, RECORD_SECONDS, REMEMBERED, Reading, Resource, Row, trace
from services.gateway.shapes import ENTRY, PRODUCT, Shapes, for_display, in_order
from services.kernel.clock import Clock
from services.kernel.kafka import partition_of
from services.salesforce import soql
from services.salesforce.calls import CallClass

One = Callable[[Product], bytes]
Many = Callable[[Sequence[Product]], bytes]
_PAYLOAD = msgspec.json.Decoder(dict[str, object])


class Catalog:
    """edition: names mapping and shapes, so that instances of two versions keep their answers apart"""

    def __init__(
        self, database: Database, live: Live, mapping: FieldMapping, shapes: Shapes, clock: Clock, edition: str
    ) -> None:
        self._database = database
        self._live = live
        self._mapping = mapping
        self._shapes = shapes
        self._clock = clock
        self._edition = edition
        # A resource holds nothing but its key, its tags and how it is read: made once for each thing asked for.
        remember = lru_cache(REMEMBERED)
        self.product = remember(self._product_resource)
        self.prices = remember(self._prices_resource)
        self.products = remember(self._products_resource)
        self.internet_plans = remember(self._plans_resource)

    def _product_resource(self, sku: str, book: str | None) -> Resource:
        return self._one(sku, book, "product", answers.encode)

    def _prices_resource(self, sku: str, book: str | None) -> Resource:
        return self._one(sku, book, "prices", lambda product: answers.encode(Prices(product.prices)))

    def _products_resource(self, item_class: str | None, book: str | None) -> Resource:
        def body(products: Sequence[Product]) -> bytes:
            return answers.encode(Products(list(products)))

        # No class has the name of the list of all: a key made of what a caller writes may mean nothing else.
        return self._many(item_class, book, "products" if item_class is None else f"products:{item_class}", body)

    def _plans_resource(self, offerings: frozenset[str], book: str | None) -> Resource:
        """The body is the bare list: a caller's eligibility goes before it."""

        def body(products: Sequence[Product]) -> bytes:
            return answers.encode([each for each in products if each.offering_type in offerings])

        return self._many(eligible.INTERNET, book, f"plans:{answers.encode(sorted(offerings)).decode()}", body)

    def _one(self, sku: str, book: str | None, kind: str, body: One) -> Resource:
        async def from_shadow() -> Reading:
            row = await self._database.row("product", sku, book, topics.PRODUCT.name)
            return Reading(self._entry_of(row, body), row["lsn"])

        async def from_salesforce(call_class: CallClass, seconds: float) -> Entry:
            return await self._one_live(sku, book, body, call_class, seconds)

        return Resource(
            key=f"{self._edition}:{book or '*'}:{kind}:{sku}",
            tags=tags.with_families([tags.sku(sku)]),
            seconds=RECORD_SECONDS,
            from_shadow=from_shadow,
            from_salesforce=from_salesforce,
        )

    def _many(self, item_class: str | None, book: str | None, name: str, body: Many) -> Resource:
        async def from_shadow() -> Reading:
            rows = await self._database.rows("products", item_class, book, large=True)
            return Reading(self._list_of(rows, body), rows[0]["lsn"])

        async def from_salesforce(call_class: CallClass, seconds: float) -> Entry:
            return await self._many_live(item_class, book, body, call_class, seconds)

        return Resource(
            key=f"{self._edition}:{book or '*'}:{name}",
            tags=tags.with_families([tags.catalog_list(item_class) if item_class else tags.CATALOG_LIST_ALL]),
            seconds=LIST_SECONDS,
            from_shadow=from_shadow,
            from_salesforce=from_salesforce,
        )

    def _entry_of(self, row: Row, body: One) -> Entry:
        read_ms = versions.millis(self._clock.now())
        if row["product_id"] is None:
            of = freshness.as_of_list([row["products_until"]])
            return entry(ABSENT, as_of_ms=of.ms, read_ms=read_ms, covered=of.covered)
        own = freshness.as_of_row(row["updated_at"], row["products_until"])
        prices = freshness.as_of_list([row["entries_until"]], [row["updated_at"], *(row["priced_at"] or ())])
        topic = topics.PRODUCT
        return entry(
            body(self._product(row)),
            as_of_ms=min(own, prices.ms),
            read_ms=read_ms,
            trace=trace(topic.name, partition_of(row["product_id"], topic.partitions), row["offsets"]),
            covered=prices.covered,
        )

    def _list_of(self, rows: Sequence[Row], body: Many) -> Entry:
        read_ms = versions.millis(self._clock.now())
        sold = [row for row in rows if row["product_id"] is not None]
        of = freshness.as_of_list([rows[0]["products_until"], rows[0]["entries_until"]], _times(sold))
        products = for_display(self._product(row) for row in sold)
        return entry(body(products), as_of_ms=of.ms, read_ms=read_ms, covered=of.covered)

    def _product(self, row: Row) -> Product:
        payload = _PAYLOAD.decode(row["payload"])
        product_id, sku = row["product_id"], self._shapes.sku_of(payload) or ""
        prices = in_order(_prices(row, product_id, sku))
        return self._shapes.product(product_id, payload, stamp(row["updated_at"]), prices)

    async def _one_live(self, sku: str, book: str | None, body: One, call_class: CallClass, seconds: float) -> Entry:
        named = f"{self._field('sku')} = {soql.literal(sku)}"
        of_product = f"{self._product_of_entry}.{named}"
        found = await self._live.read(
            Ask(object=PRODUCT, where=named),
            Ask(object=ENTRY, where=of_product),
            call_class=call_class,
            seconds=seconds,
        )
        wanted = {k: s for k, s in found.states[PRODUCT].items() if self._shapes.sku_of(s.payload) == sku}
        products = self._shapes.offered(wanted, found.states[ENTRY], book)
        return entry(
            body(products[0]) if products else ABSENT,
            as_of_ms=found.as_of_ms,
            read_ms=versions.millis(self._clock.now()),
            joined=found.joined,
        )

    async def _many_live(
        self, item_class: str | None, book: str | None, body: Many, call_class: CallClass, seconds: float
    ) -> Entry:
        column = self._field("item_class")
        of_class = [f"{column} = {soql.literal(item_class)}"] if item_class else []
        products = " AND ".join(["IsActive = true", *of_class])
        entries = [f"{self._product_of_entry}.{each}" for each in ("IsActive = true", *of_class)]
        if book is not None:
            entries.append(f"{self._entry_field('pricebook_id')} = {soql.literal(book)}")
        found = await self._live.read(
            Ask(object=PRODUCT, where=products, deleted=False),
            Ask(object=ENTRY, where=" AND ".join(["IsActive = true", *entries]), deleted=False),
            call_class=call_class,
            seconds=seconds,
        )
        wanted = found.states[PRODUCT]
        if item_class:
            wanted = {k: s for k, s in wanted.items() if self._shapes.class_of(s.payload) == item_class}
        return entry(
            body(for_display(self._shapes.offered(wanted, found.states[ENTRY], book))),
            as_of_ms=found.as_of_ms,
            read_ms=versions.millis(self._clock.now()),
            joined=found.joined,
        )

    def _field(self, column: str) -> str:
        return _name(self._mapping, PRODUCT, column)

    def _entry_field(self, column: str) -> str:
        return _name(self._mapping, ENTRY, column)

    @property
    def _product_of_entry(self) -> str:
        """The relationship from an entry to its product: Product2Id leads to Product2."""
        name = self._entry_field("product_id")
        return name[:-1] + "r" if name.endswith("__c") else name.removesuffix("Id")


def _name(mapping: FieldMapping, object_name: str, column: str) -> str:
    field = mapping.objects[object_name].field_of(column)
    if field is None:
        raise ValueError(f"the mapping names no {object_name} field for {column}")
    return field.name


def _prices(row: Row, product_id: str, sku: str) -> Iterable[Price]:
    columns = (row["entry_ids"], row["book_ids"], row["unit_prices"], row["currencies"], row["priced_at"])
    for entry_id, book_id, price, currency, at in zip(*(each or () for each in columns), strict=True):
        yield Price(entry_id, product_id, sku, book_id, price, currency, stamp(at))


def _times(rows: Iterable[Row]) -> Iterable[datetime]:
    for row in rows:
        yield row["updated_at"]
        yield from row["priced_at"] or ()
