"""One transaction per batch: state, shadow rows, cache tags and offsets move together or not at all.

Free of Faust and of Kafka: whoever reads the log, a worker or a replay, calls this.
Order of locks: advisory locks, offset rows by topic and partition, then state and rows by id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.mapping import Mapping as FieldMapping
from services.kernel.errors import Fatal
from services.kernel.kafka import key_hash
from services.projector import catalog, coverage, locks, personal, states
from services.projector.batch import Batch, Decoded, fold
from services.projector.link import Link
from services.projector.log import Hole, Place, stale
from services.projector.shown import Verdicts
from services.projector.tagging import Tags

GUARD_EXIT = 71
"""Exit code of a worker that would have to skip records, or take new ones for old."""

Outlet = Callable[[Link, Sequence[Decoded]], Awaitable[None]]
"""Takes records that cannot be used, before the transaction that moves past them commits."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a transaction did.

    next_offsets: of each partition in the batch
    tagged: partitions that have cache tags to be told
    fresh: records applied now; skipped: records that were applied before
    """

    next_offsets: dict[Place, int]
    tagged: frozenset[Place]
    fresh: list[Decoded] = field(default_factory=list)
    skipped: int = 0
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    tags: dict[Place, set[str]]
    moved: int


async def apply(
    link: Link,
    decoded: Sequence[Decoded],
    *,
    mapping: FieldMapping,
    outlet: Outlet,
    folded: Batch | None = None,
) -> Applied:
    """Apply what is new in a batch. `folded`: all of it, joined ahead; of use where all of it is new.

    Raises Hole where records are missing before one of it, Fatal where a topic is not the one it was.
    """
    by_place: dict[Place, list[Decoded]] = {}
    for each in decoded:
        by_place.setdefault(each.record.place, []).append(each)
    async with link.connection.transaction():
        await locks.take(link, {place.topic for place in by_place})
        offsets = await _lock_offsets(link, by_place)
        fresh: list[Decoded] = []
        for place, records in by_place.items():
            fresh += records[stale(offsets[place], [each.record for each in records]) :]
        done = Applied(dict(offsets), frozenset(), [], len(decoded))
        if fresh:
            whole = folded if folded is not None and len(fresh) == len(decoded) else fold(fresh)
            done = await _apply_fresh(link, mapping, fresh, whole, offsets, outlet, len(decoded) - len(fresh))
    return done


async def _apply_fresh(
    link: Link,
    mapping: FieldMapping,
    fresh: list[Decoded],
    batch: Batch,
    offsets: Mapping[Place, int],
    outlet: Outlet,
    skipped: int,
) -> Applied:
    if batch.rejected:  # first: the hole that they leave begins at what was covered before this batch
        await outlet(link, batch.rejected)
    written = await write(link, mapping, batch)
    last = {each.record.place: each.record for each in fresh}
    moved = {place: record.offset + 1 for place, record in last.items()}
    places = sorted(last)
    tags = [written.tags.get(place) for place in places]
    await link.rows(
        "offsets_move",
        [place.topic for place in places],
        [place.partition for place in places],
        [moved[place] for place in places],
        [last[place].offset for place in places],
        [last[place].timestamp_ms for place in places],
        [key_hash(last[place].key) for place in places],
        [states.text(sorted(each)) if each else None for each in tags],
    )
    tagged = frozenset(place for place, each in zip(places, tags, strict=True) if each)
    return Applied({**offsets, **moved}, tagged, fresh, skipped, written.moved)


async def write(link: Link, mapping: FieldMapping, batch: Batch, *, repair: bool = False) -> Written:
    """State and rows of a batch, inside the caller's transaction and under its locks; the tags to be told.

    repair: take equal versions too, and compare every row that the batch speaks of
    """
    tags, verdicts = Tags(batch.places), Verdicts()
    moved = await states.move(link, mapping, batch.changes, repair=repair)
    told = await personal.move_statuses(link, mapping, batch.statuses, tags, repair=repair)
    await catalog.write(link, mapping, moved, tags, verdicts)
    await personal.write_accounts(link, mapping, moved, tags, verdicts)
    await personal.write_orders(link, mapping, moved, told, tags, verdicts)
    await verdicts.write(link)
    await coverage.write(link, batch.marks)
    return Written(tags.by_place, len(moved) + len(told))


async def _lock_offsets(link: Link, places: Iterable[Place]) -> dict[Place, int]:
    wanted = sorted(places)
    rows = await link.rows("offsets_lock", [each.topic for each in wanted], [each.partition for each in wanted])
    found = {Place(row[0], row[1]): (row[2], row[3]) for row in rows}
    for place in wanted:
        if place not in found:
            raise Hole(f"{place.topic}/{place.partition}: its offset row is gone")
        if found[place][1]:
            raise Fatal(f"{place.topic} was created anew: what is read now is another log", GUARD_EXIT)
    return {place: offset for place, (offset, _) in found.items()}
