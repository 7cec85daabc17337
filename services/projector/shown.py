"""Rows of the shadow tables as Postgres keeps them, and the records that are kept and not shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from services.projector import states
from services.projector.batch import Key
from services.projector.link import Link
from services.projector.rows import Eligibility, Entry, Hidden, Order, Product

Row = TypeVar("Row", Product, Entry, Eligibility, Order)
_NAMES: dict[type[Any], str] = {Product: "products", Entry: "entries", Eligibility: "accounts", Order: "orders"}
_COLUMNS: dict[type[Any], tuple[str, ...]] = {
    kind: tuple(each.name for each in fields(kind) if each.compare) for kind in _NAMES
}


async def read(link: Link, kind: type[Row], ids: Iterable[str], *more: object) -> dict[str, Row]:
    """The rows that are shown now, by id."""
    rows = await link.rows(f"{_NAMES[kind]}_read", sorted(ids), *more)
    made: Callable[..., Row] = kind
    return {row[0]: made(*row[:-1], states.payload(row[-1])) for row in rows}


async def write(link: Link, kind: type[Row], rows: Mapping[str, Row]) -> list[Any]:
    """Write rows in the order of their ids, so that two writers never wait for each other in a ring."""
    if not rows:
        return []
    ordered = [rows[key] for key in sorted(rows)]
    columns = [[getattr(row, name) for row in ordered] for name in _COLUMNS[kind][:-1]]
    return await link.rows(f"{_NAMES[kind]}_write", *columns, [states.text(row.raw_payload) for row in ordered])


async def delete(link: Link, kind: type[Row], ids: Iterable[str]) -> list[Any]:
    gone = sorted(ids)
    return await link.rows(f"{_NAMES[kind]}_delete", gone) if gone else []


@dataclass(slots=True)
class Verdicts:
    """For each record looked at: why it is not shown, or None where it is shown or dead."""

    of: dict[Key, Hidden | None] = field(default_factory=dict)

    async def write(self, link: Link) -> None:
        if not self.of:
            return
        hidden = sorted((key, why) for key, why in self.of.items() if why is not None)
        if hidden:
            await link.rows(
                "hidden_write",
                [key.object for key, _ in hidden],
                [key.record_id for key, _ in hidden],
                [why.reason for _, why in hidden],
                [why.detail for _, why in hidden],
            )
        seen: dict[str, list[str]] = {}
        for key, why in self.of.items():
            if why is None:
                seen.setdefault(key.object, []).append(key.record_id)
        for name, ids in sorted(seen.items()):
            await link.rows("hidden_clear", name, ids)
