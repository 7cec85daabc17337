"""Products and price entries: keeps their shadow rows equal to the projection of the state.

Only one writer is in here at a time (the catalog's advisory lock), so what is read stays true until the commit.
The foreign key and the unique SKU hold after every statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas import tags as tag
from schemas.join import State
from schemas.mapping import Mapping as FieldMapping
from services.projector import project, shown, states
from services.projector.batch import Key
from services.projector.link import Link
from services.projector.rows import ENTRY, PRODUCT, Entry, Hidden, Product
from services.projector.shown import Verdicts
from services.projector.states import GONE, Moved
from services.projector.tagging import Tags


@dataclass(slots=True)
class Turn:
    """Products before and after: every one whose row may change, and no other."""

    old: dict[str, Product] = field(default_factory=dict)
    new: dict[str, Product] = field(default_factory=dict)

    @property
    def flipped(self) -> set[str]:
        """Products that begin or cease to be shown: their entries do the same."""
        return self.old.keys() ^ self.new.keys()


async def write(link: Link, mapping: FieldMapping, moved: Mapping[Key, Moved], tags: Tags, verdicts: Verdicts) -> None:
    """Bring the rows of moved products and entries, and of all that hang on them, up to the state."""
    products = {key.record_id: each for key, each in moved.items() if key.object == PRODUCT}
    entries = {key.record_id: each for key, each in moved.items() if key.object == ENTRY}
    turn = await _turn(link, mapping, products, verdicts)
    old = await _old_entries(link, entries, turn)
    await _write_products(link, turn, tags)
    await _write_entries(link, mapping, entries, turn, old, tags, verdicts)


async def _turn(link: Link, mapping: FieldMapping, changed: Mapping[str, Moved], verdicts: Verdicts) -> Turn:
    """Who wants or holds a SKU that changes hands is judged too, and so are the SKUs that those want or hold.

    One step, unless rows or claims are of an earlier mapping: then a row may hold what its product no longer wants.
    """
    if not changed:
        return Turn()
    affected = {record_id: each.state for record_id, each in changed.items()}
    old = await shown.read(link, Product, changed, [])
    due = {each.claim for each in changed.values() if each.claim is not None} | {row.sku for row in old.values()}
    rows = _projected(mapping, affected)
    settled: set[str] = set()
    while due:
        settled |= due
        added = await _rivals(link, due, affected, old)
        new = _projected(mapping, {each: affected[each] for each in added})
        rows |= new
        due = {row.sku for row in new.values() if isinstance(row, Product)} | {old[k].sku for k in added & old.keys()}
        due -= settled
    by_sku: dict[str, list[Product]] = {}
    for record_id, row in rows.items():
        if isinstance(row, Product):
            by_sku.setdefault(row.sku, []).append(row)
        else:
            verdicts.of[Key(PRODUCT, record_id)] = row
    return Turn(old, _winners(by_sku, verdicts))


def _projected(mapping: FieldMapping, of: Mapping[str, State]) -> dict[str, Product | Hidden | None]:
    return {record_id: project.product(mapping.objects[PRODUCT], record_id, state) for record_id, state in of.items()}


async def _rivals(link: Link, due: set[str], affected: dict[str, State], old: dict[str, Product]) -> set[str]:
    """Add the products that want or hold one of `due` to `affected`, and their rows to `old`; says which."""
    wanting = await states.claimants(link, PRODUCT, due)
    others = wanting.keys() - affected.keys()
    unheld = due - {row.sku for row in old.values()}
    found = await shown.read(link, Product, others, sorted(unheld)) if others or unheld else {}
    holding = found.keys() - affected.keys() - others
    kept = await states.read(link, [Key(PRODUCT, each) for each in sorted(holding)]) if holding else {}
    # Where there is no record there is nothing to show.
    affected |= {each: wanting[each] for each in others} | {
        each: kept.get(Key(PRODUCT, each), GONE) for each in holding
    }
    old |= {each: row for each, row in found.items() if each not in old}
    return set(others) | set(holding)


def _winners(by_sku: Mapping[str, list[Product]], verdicts: Verdicts) -> dict[str, Product]:
    new = {}
    for candidates in by_sku.values():
        first = project.winner(candidates)
        new[first.product_id] = first
        for each in candidates:
            lost = None if each is first else Hidden("sku_taken", first.product_id)
            verdicts.of[Key(PRODUCT, each.product_id)] = lost
    return new


async def _write_products(link: Link, turn: Turn, tags: Tags) -> None:
    changed = {key: row for key, row in turn.new.items() if turn.old.get(key) != row}
    await shown.delete(link, Product, turn.old.keys() - turn.new.keys())
    renamed = [key for key, row in changed.items() if key in turn.old and turn.old[key].sku != row.sku]
    if renamed:
        await link.rows("products_vacate", sorted(renamed))
    await shown.write(link, Product, changed)
    for key in changed.keys() | (turn.old.keys() - turn.new.keys()):
        for row in (turn.old.get(key), turn.new.get(key)):
            if row is not None:
                tags.add(Key(PRODUCT, key), tag.of_product(row.sku, row.item_class))


async def _old_entries(link: Link, changed: Mapping[str, Moved], turn: Turn) -> dict[str, Entry]:
    """Entries that are shown now and may change; read before products are deleted, which takes theirs along."""
    if not changed and not turn.flipped:
        return {}
    return await shown.read(link, Entry, changed, sorted(turn.flipped))


async def _write_entries(
    link: Link,
    mapping: FieldMapping,
    changed: Mapping[str, Moved],
    turn: Turn,
    old: Mapping[str, Entry],
    tags: Tags,
    verdicts: Verdicts,
) -> None:
    waiting = await states.claimants(link, ENTRY, turn.flipped) if turn.flipped else {}
    affected = waiting | {record_id: each.state for record_id, each in changed.items()}
    rows = {each: project.entry(mapping.objects[ENTRY], each, state) for each, state in affected.items()}
    complete = {key: row for key, row in rows.items() if isinstance(row, Entry)}
    stands = await _stands(link, {row.product_id for row in (*complete.values(), *old.values())}, turn)
    new = {key: row for key, row in complete.items() if stands.is_shown(row.product_id)}
    for key, row in rows.items():
        hidden = Hidden("product_hidden", row.product_id) if isinstance(row, Entry) else row
        verdicts.of[Key(ENTRY, key)] = None if key in new else hidden
    different = {key: row for key, row in new.items() if old.get(key) != row}
    await shown.delete(link, Entry, old.keys() - new.keys())
    await shown.write(link, Entry, different)
    for key in different.keys() | (old.keys() - new.keys()):
        products = {row.product_id for row in (old.get(key), new.get(key)) if row is not None}
        tags.add(Key(ENTRY, key), stands.tags(products))


@dataclass(frozen=True, slots=True)
class Stands:
    """Which products are shown after this batch, and the tags of their rows before and after."""

    shown: Mapping[str, set[str]]
    before: Mapping[str, set[str]]

    def is_shown(self, product_id: str) -> bool:
        return product_id in self.shown

    def tags(self, products: set[str]) -> set[str]:
        return {t for product in products for of in (self.shown, self.before) for t in of.get(product, ())}


async def _stands(link: Link, products: set[str], turn: Turn) -> Stands:
    unmoved = products - turn.old.keys() - turn.new.keys()
    rows = await link.rows("products_tagged", sorted(unmoved)) if unmoved else []
    still = {row[0]: tag.of_product(row[1], row[2]) for row in rows}
    after = {key: tag.of_product(row.sku, row.item_class) for key, row in turn.new.items()}
    before = {key: tag.of_product(row.sku, row.item_class) for key, row in turn.old.items()}
    return Stands(shown=still | after, before=before)
