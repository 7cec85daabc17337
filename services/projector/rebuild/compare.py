"""Where two generations differ: by table and kind, with some ids and columns, and never a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from services.projector.batch import Key
from services.projector.link import Link
from services.projector.rebuild.start import Group
from services.projector.rows import ACCOUNT, ENTRY, ORDER, PRODUCT

_SAMPLES = 5
_TABLES = {
    "sf_product_shadow": ("differing_products", PRODUCT),
    "sf_pricebook_shadow": ("differing_entries", ENTRY),
    "sf_account_eligibility_shadow": ("differing_accounts", ACCOUNT),
    "sf_order_shadow": ("differing_orders", ORDER),
    "sf_order_status": ("differing_statuses", ORDER),
}


class Sample(NamedTuple):
    """kind: goes (only in the live generation), comes (only in the new one), changes"""

    table: str
    kind: str
    id: str
    columns: list[str]


@dataclass(slots=True)
class Differences:
    """counts: by table and kind; records, statuses: all that differ in a state, a row, or why they are hidden"""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    records: set[Key] = field(default_factory=set)
    statuses: set[str] = field(default_factory=set)

    def add(self, table: str, kind: str, key: Key, columns: list[str]) -> None:
        if self.counts[table, kind] < _SAMPLES:
            self.samples.append(Sample(table, kind, key.record_id, columns))
        self.counts[table, kind] += 1
        self.records.add(key)
        if table == "sf_order_status":
            self.statuses.add(key.record_id)

    def document(self) -> dict[str, object]:
        """As JSON."""
        tables: dict[str, dict[str, int]] = {}
        for (table, kind), count in sorted(self.counts.items()):
            tables.setdefault(table, {})[kind] = count
        return {"tables": tables, "samples": [each._asdict() for each in self.samples]}


async def differences(live: Link, group: Group) -> Differences:
    """Compare a whole group, from one snapshot of each table."""
    found = Differences()
    for statement, table in (("differing_records", "sf_record"), ("differing_hidden", "sf_hidden")):
        for row in await live.rows(statement, list(group.objects)):
            found.add(table, row["kind"], Key(row["object"], row["id"]), row["columns"])
    for table in group.tables:
        statement, name = _TABLES[table]
        for row in await live.rows(statement):
            found.add(table, row["kind"], Key(name, row["id"]), row["columns"])
    return found


def slices(keys: Iterable[Key], most: int) -> list[list[Key]]:
    ordered = sorted(keys)
    return [ordered[start : start + most] for start in range(0, len(ordered), most)]
