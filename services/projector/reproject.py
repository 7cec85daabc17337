"""Shadow rows made anew from the state after a changed mapping, slice by slice, while workers go on.

A slice is one transaction under the object's lock alone: claims, rows, what is hidden, cache tags and the place to
go on from. A worker waits for a slice at most. Repeats change nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b

from schemas import tags as tag
from schemas import topics
from schemas.mapping import Mapping as FieldMapping
from services.kernel.kafka import partition_of
from services.projector import catalog, locks, personal, project, states
from services.projector import link as links
from services.projector.batch import Key
from services.projector.link import Link
from services.projector.log import Place
from services.projector.rows import ACCOUNT, ENTRY, ORDER, PRODUCT
from services.projector.shown import Verdicts
from services.projector.states import GONE, Moved
from services.projector.tagging import Tags

SLICE = 500
"""Records in one transaction: tens of milliseconds, which is what a worker waits."""

NAMES = {PRODUCT: "products", ENTRY: "entries", ACCOUNT: "accounts", ORDER: "orders"}
_FILES = ("state.sql", "catalog.sql", "personal.sql", "offsets.sql", "engine.sql", "reproject.sql")


@dataclass(frozen=True, slots=True)
class Done:
    """What is done of an object.

    after: all ids up to this one; records: how many
    tags: of the last slice, to be told now; outbox: ids of the rows that keep them until then
    """

    after: str = ""
    records: int = 0
    tags: frozenset[str] = frozenset()
    outbox: tuple[int, ...] = ()


async def connect(dsn: str) -> Link:
    """A connection with the statements of this work."""
    link = await links.connect(dsn, *_FILES)
    # Preparing leaves an implicit transaction open, in which no isolation level can be chosen any more.
    await link.connection.execute("SELECT 1")
    return link


def digest(mapping: FieldMapping) -> str:
    """Names a mapping: a run under another one begins anew."""
    return blake2b(repr(mapping).encode(), digest_size=8).hexdigest()


async def stands(link: Link, mapping: FieldMapping, name: str) -> Done:
    """Where an earlier run under the same mapping stopped."""
    rows = await link.rows("reprojection_read", name, digest(mapping))
    return Done(rows[0][0], rows[0][1]) if rows else Done()


async def run(
    link: Link, mapping: FieldMapping, name: str, start: Done, most: int = SLICE
) -> AsyncGenerator[Done, None]:
    """Project one object anew; yields after each slice, which is committed then."""
    at = start
    while (done := await _slice(link, mapping, name, at, most)) is not None:
        yield done
        at = done
    await link.rows("reprojection_done", name)


async def _slice(link: Link, mapping: FieldMapping, name: str, before: Done, most: int) -> Done | None:
    async with link.connection.transaction():
        await locks.take(link, [topics.RECORD_TOPICS[name].name], alone=True)
        ids = [row[0] for row in await link.rows(f"{NAMES[name]}_slice", before.after, most)]
        if not ids:
            return None
        tags = await _project(link, mapping, name, ids)
        done = replace(before, after=ids[-1], records=before.records + len(ids))
        await link.rows("reprojection_write", name, digest(mapping), done.after, done.records)
        outbox = await _to_outbox(link, tags)
    return replace(done, tags=frozenset(each for of in tags.by_place.values() for each in of), outbox=outbox)


async def _project(link: Link, mapping: FieldMapping, name: str, ids: list[str]) -> Tags:
    keys = [Key(name, each) for each in ids]
    known = await states.read(link, keys)
    moved = {key: Moved(known.get(key, GONE), project.claim(mapping, key, known.get(key, GONE))) for key in keys}
    await link.rows("state_mend_claims", [name] * len(ids), ids, [each.claim for each in moved.values()])
    tags, verdicts = Tags(_places(keys)), Verdicts()
    await catalog.write(link, mapping, moved, tags, verdicts)
    await personal.write_accounts(link, mapping, moved, tags, verdicts)
    await personal.write_orders(link, mapping, moved, {}, tags, verdicts)
    if name == ORDER:
        await _write_messages(link, mapping, ids, tags)
    await verdicts.write(link)
    return tags


def _places(keys: Iterable[Key]) -> dict[Key, Place]:
    of = topics.RECORD_TOPICS
    return {key: Place(of[key.object].name, partition_of(key.record_id, of[key.object].partitions)) for key in keys}


async def _write_messages(link: Link, mapping: FieldMapping, ids: list[str], tags: Tags) -> None:
    """What a status says is the mapping's sentence, too."""
    rows = await link.rows("messages_read", ids)
    said = {row["order_id"]: mapping.order_status.message(row["status"], row["reason"]) for row in rows}
    changed = [row["order_id"] for row in rows if said[row["order_id"]] != row["message"]]
    if changed:
        await link.rows("messages_write", changed, [said[each] for each in changed])
    for each in changed:
        tags.add(Key(ORDER, each), [tag.order(each)])


async def _to_outbox(link: Link, tags: Tags) -> tuple[int, ...]:
    places = sorted(tags.by_place)
    if not places:
        return ()
    kept = [states.text(sorted(tags.by_place[place])) for place in places]
    rows = await link.rows("outbox_add", [place.topic for place in places], [place.partition for place in places], kept)
    return tuple(row[0] for row in rows)
