"""What a run tells: caches of what it changed, and of records that cannot be used those not set aside before."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from services.kernel import valkey
from services.kernel.tagcache import TagCache
from services.projector.apply import Outlet
from services.projector.batch import Decoded
from services.projector.link import Link
from services.projector.log import Place
from services.projector.states import text

log = logging.getLogger(__name__)


def once(outlet: Outlet) -> Outlet:
    """Sets aside only what is no dead letter yet: a record that is read again is no second letter."""

    async def take(link: Link, rejected: Sequence[Decoded]) -> None:
        records = [each.record for each in rejected]
        rows = await link.rows(
            "run_letters",
            [record.place.topic for record in records],
            [record.place.partition for record in records],
            [record.offset for record in records],
        )
        known = {(Place(row[0], row[1]), row[2]) for row in rows}
        new = [each for each in rejected if (each.record.place, each.record.offset) not in known]
        if new:
            await outlet(link, new)

    return take


async def keep(link: Link, tags: Mapping[Place, Iterable[str]]) -> list[int]:
    """Put tags into the outbox, inside the transaction that changes the rows; the ids of what waits there."""
    places = sorted(place for place in tags if tags[place])
    if not places:
        return []
    rows = await link.rows(
        "run_tags",
        [place.topic for place in places],
        [place.partition for place in places],
        [text(sorted(tags[place])) for place in places],
    )
    return [row[0] for row in rows]


async def tell(link: Link, cache: TagCache, tags: Mapping[Place, Iterable[str]], waiting: Sequence[int]) -> bool:
    """Tell the caches, after the commit. With Valkey away the workers tell what waits: False."""
    if not waiting:
        return True
    lsn = (await link.rows("run_lsn"))[0][0]
    try:
        await cache.invalidate({tag for each in tags.values() for tag in each}, lsn)
    except valkey.AWAY as error:
        log.warning("caches are told later", extra={"action": "tell", "error": type(error).__name__})
        return False
    await link.rows("run_told", list(waiting))
    return True
