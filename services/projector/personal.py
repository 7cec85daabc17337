"""Accounts and orders: keeps their shadow rows equal to the projection of the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from schemas import tags as tag
from schemas.events import OrderStatus
from schemas.mapping import Mapping as FieldMapping
from services.projector import project, shown, states, statuses
from services.projector.batch import Key
from services.projector.link import Link
from services.projector.rows import ACCOUNT, ORDER, Eligibility, Hidden, Order
from services.projector.shown import Verdicts
from services.projector.states import Moved
from services.projector.statuses import Last, Statuses, Top
from services.projector.tagging import Tags


async def write_accounts(
    link: Link, mapping: FieldMapping, moved: Mapping[Key, Moved], tags: Tags, verdicts: Verdicts
) -> None:
    changed = {key.record_id: each.state for key, each in moved.items() if key.object == ACCOUNT}
    if not changed:
        return
    of = mapping.objects[ACCOUNT]
    rows = {each: project.eligibility(of, each, state) for each, state in changed.items()}
    new = {key: row for key, row in rows.items() if isinstance(row, Eligibility)}
    for key, row in rows.items():
        verdicts.of[Key(ACCOUNT, key)] = row if isinstance(row, Hidden) else None
    # A tag is the account's own, so the old row is not needed: Postgres says which rows moved.
    touched = await shown.delete(link, Eligibility, rows.keys() - new.keys())
    touched += await shown.write(link, Eligibility, new)
    for (key,) in touched:
        tags.add(Key(ACCOUNT, key), [tag.eligibility(key)])


async def write_orders(
    link: Link,
    mapping: FieldMapping,
    moved: Mapping[Key, Moved],
    told: Mapping[str, Statuses],
    tags: Tags,
    verdicts: Verdicts,
) -> None:
    """`told`: the orders of which `move_statuses` found something new."""
    changed = {key.record_id: each.state for key, each in moved.items() if key.object == ORDER}
    known = await _all_states(link, changed, told)
    if not known:
        return
    shown_statuses = {**told, **await read_statuses(link, known.keys() - told.keys())}
    rows = {each: _row(mapping, each, known[each], shown_statuses) for each in known}
    new = {key: row for key, row in rows.items() if isinstance(row, Order)}
    for key, row in rows.items():
        verdicts.of[Key(ORDER, key)] = row if isinstance(row, Hidden) else None
    old = await shown.read(link, Order, known)
    different = {key: row for key, row in new.items() if old.get(key) != row}
    gone = old.keys() - new.keys()
    await shown.delete(link, Order, gone)
    await shown.write(link, Order, different)
    for key in different.keys() | gone:
        for row in (old.get(key), new.get(key)):
            if row is not None:
                tags.add(Key(ORDER, key), tag.of_order(key, row.account_id))


async def _all_states(link: Link, changed: Mapping[str, Any], told: Mapping[str, Statuses]) -> dict[str, Any]:
    """States of the orders at hand; an order that only its status has spoken of has none yet."""
    missing = told.keys() - changed.keys()
    found = await states.read(link, [Key(ORDER, each) for each in sorted(missing)]) if missing else {}
    return dict(changed) | {key.record_id: state for key, state in found.items()}


def _row(mapping: FieldMapping, order_id: str, state: Any, known: Mapping[str, Statuses]) -> Order | Hidden | None:
    of = known.get(order_id)
    return project.order(mapping.objects[ORDER], order_id, state, None if of is None else of.shown())


async def move_statuses(
    link: Link, mapping: FieldMapping, said: list[OrderStatus], tags: Tags, *, repair: bool = False
) -> dict[str, Statuses]:
    """Join what was said of the statuses of orders into what is stored; the orders that it changed.

    repair: take equal versions too, and let every order of `said` count as changed
    """
    new: dict[str, Statuses] = {}
    for event in said:
        each = statuses.of_event(event)
        new[event.order_id] = statuses.join(new[event.order_id], each) if event.order_id in new else each
    stored = await read_statuses(link, new.keys()) if new else {}
    joined = {key: _join(stored.get(key), each, repair=repair) for key, each in new.items()}
    moved = {key: each for key, each in joined.items() if repair or stored.get(key) != each}
    for (key,) in await _write_statuses(link, mapping, moved):
        tags.add(Key(ORDER, key), tag.of_order(key, moved[key].account_id))
    return moved


def _join(old: Statuses | None, new: Statuses, *, repair: bool) -> Statuses:
    """Of equal versions the first one's content stays."""
    if old is None:
        return new
    return statuses.join(new, old) if repair else statuses.join(old, new)


_SEEN: msgspec.json.Decoder[dict[str, Last]] = msgspec.json.Decoder(dict[str, Last])


async def read_statuses(link: Link, orders: Any) -> dict[str, Statuses]:
    rows = await link.rows("statuses_read", sorted(orders))
    return {
        row["order_id"]: Statuses(
            Top(
                row["version"],
                row["status"],
                row["terminal"],
                row["source"],
                row["event_id"],
                row["occurred_at"],
            ),
            _seen(row),
            row["account_id"],
        )
        for row in rows
    }


def _seen(row: Any) -> dict[str, Last]:
    """What was seen before the shown one; a row written by hand has only itself."""
    version, reason = row["version"], row["reason"]
    return _SEEN.decode(row["seen"]) or {row["status"]: Last(version, None if reason is None else version, reason)}


async def _write_statuses(link: Link, mapping: FieldMapping, moved: Mapping[str, Statuses]) -> list[Any]:
    """Those whose row it changed."""
    if not moved:
        return []
    rows = [(key, moved[key], moved[key].shown()) for key in sorted(moved)]
    return await link.rows(
        "statuses_write",
        [key for key, _, _ in rows],
        [seen.version for _, _, seen in rows],
        [seen.status for _, _, seen in rows],
        [seen.reason for _, _, seen in rows],
        [mapping.order_status.message(seen.status, seen.reason) for _, _, seen in rows],
        [each.top.terminal for _, each, _ in rows],
        [each.top.source for _, each, _ in rows],
        [each.account_id for _, each, _ in rows],
        [each.top.event_id for _, each, _ in rows],
        [each.top.occurred_at for _, each, _ in rows],
        [states.text(each.seen) for _, each, _ in rows],
    )
