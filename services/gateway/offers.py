"""What some products cost now: from the shadow, or read live where it cannot be had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.mapping import Mapping as FieldMapping
from services.gateway.ordering import Offer
from services.gateway.postgres import Database, PostgresAway
from services.gateway.shapes import ENTRY, PRODUCT, decimal
from services.salesforce import soql
from services.salesforce.calls import CallClass
from services.salesforce.rest import Rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    rest: Rest
    database: Database
    mapping: FieldMapping
    shadow_reads: bool

    async def of(self, skus: Sequence[str], currency: str, book: str | None, deadline: float) -> list[Offer]:
        """Active entries of active products. Raises the door's errors when it has to ask live and cannot."""
        if self.shadow_reads:
            try:
                rows = await self.database.rows("lines", list(skus), currency, book)
            except PostgresAway:
                pass
            else:
                names = ("sku", "name", "pricebook_entry_id", "pricebook_id", "unit_price")
                return [Offer(*(row[name] for name in names)) for row in rows]
        query = soql.select(self._fields, ENTRY, " AND ".join(self._where(skus, currency, book)))
        read = await self.rest.query(query, call_class=CallClass.WRITE, deadline=deadline)
        return list(self._live(read.records))

    @property
    def _fields(self) -> tuple[str, ...]:
        return "Id", "UnitPrice", "Pricebook2Id", f"Product2.{self._sku}", f"Product2.{self._name}"

    @property
    def _sku(self) -> str:
        return self._field(PRODUCT, "sku", "StockKeepingUnit")

    @property
    def _name(self) -> str:
        return self._field(PRODUCT, "name", "Name")

    def _where(self, skus: Sequence[str], currency: str, book: str | None) -> Iterable[str]:
        yield "IsActive = true AND Product2.IsActive = true"
        yield soql.among(f"Product2.{self._sku}", skus)
        if self.mapping.objects[ENTRY].field_of("currency_iso_code") is not None:
            yield f"CurrencyIsoCode = {soql.literal(currency)}"
        if book is not None:
            yield f"Pricebook2Id = {soql.literal(book)}"

    def _field(self, object_name: str, column: str, otherwise: str) -> str:
        field = self.mapping.objects[object_name].field_of(column)
        return otherwise if field is None else field.name

    def _live(self, records: Iterable[Mapping[str, Any]]) -> Iterable[Offer]:
        for record in records:
            product = record["Product2"]
            price = decimal(None if record["UnitPrice"] is None else str(record["UnitPrice"]))
            if price is not None:
                yield Offer(product[self._sku], product[self._name], record["Id"], record["Pricebook2Id"], price)
