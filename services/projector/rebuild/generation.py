"""The second generation: tables of the live ones' names in a schema of their own, which nobody reads.

A connection into it finds no other table under these names, so nothing meant for it can reach a live row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas import topics
from schemas.mapping import Mapping as FieldMapping
from services.kernel.kafka import partition_of
from services.projector import catalog, link, personal, project, states
from services.projector.batch import Key
from services.projector.link import Link, statements
from services.projector.log import Place
from services.projector.rebuild.start import Group
from services.projector.replay import runs
from services.projector.shown import Verdicts
from services.projector.states import Moved
from services.projector.tagging import Tags

SCHEMA = "umbra_next"
SLICE = 500
_FILES = ("state.sql", "catalog.sql", "personal.sql", runs.STATEMENTS)
_SECONDS = 900.0
"""The longest that one statement over a whole table may take."""

_COPIES = {
    "sf_product_shadow": "generation_products",
    "sf_pricebook_shadow": "generation_entries",
    "sf_account_eligibility_shadow": "generation_accounts",
    "sf_order_shadow": "generation_orders",
    "sf_order_status": "generation_statuses",
}


async def make(live: Link) -> None:
    """Empty tables, in place of what an earlier run has left; in the caller's transaction."""
    await live.connection.execute(statements("generation.sql")["generation_make"])


async def drop(live: Link) -> None:
    await live.connection.execute(statements("generation.sql")["generation_drop"])


async def inside(dsn: str) -> Link:
    """A connection that sees the new generation only, and the progress of runs."""
    return await link.connect(dsn, *_FILES, schema=SCHEMA, command_timeout=_SECONDS)


async def beside(dsn: str) -> Link:
    """A connection to the live tables that can compare and swap; the new generation must be there."""
    files = (*link.APPLY, runs.STATEMENTS, "rebuild.sql")
    return await link.connect(dsn, *files, command_timeout=_SECONDS)


async def copy_statuses(live: Link) -> None:
    """What the log may no longer hold of the statuses of orders."""
    await live.connection.execute(statements("rebuild.sql")["generation_statuses"])


async def copy(live: Link, group: Group) -> None:
    """All that the live generation has of a group."""
    named = statements("rebuild.sql")
    for name in ("generation_records", "generation_hidden"):
        await live.connection.execute(named[name], list(group.objects))
    for table in group.tables:
        await live.connection.execute(named[_COPIES[table]])


async def put_back(live: Link, run_id: int) -> None:
    """The states that a swap replaced, in place of those copied. Their rows are shown by `show`."""
    named = statements("rebuild.sql")
    for name in ("past_out_records", "past_in_records", "past_out_statuses", "past_in_statuses"):
        await live.connection.execute(named[name], run_id)


async def show(of: Link, mapping: FieldMapping, moved: Mapping[Key, Moved], places: Mapping[Key, Place]) -> Tags:
    """Make the rows of these records, and of all that hangs on them, what their states say; the tags to be told."""
    tags, verdicts = Tags(places), Verdicts()
    await catalog.write(of, mapping, moved, tags, verdicts)
    await personal.write_accounts(of, mapping, moved, tags, verdicts)
    await personal.write_orders(of, mapping, moved, {}, tags, verdicts)
    await verdicts.write(of)
    return tags


async def states_of(of: Link, mapping: FieldMapping, keys: Iterable[Key]) -> dict[Key, Moved]:
    """What is known of some records; of those that nothing is known of, that they are gone."""
    wanted = list(keys)
    found = await states.read(of, wanted)
    made = {}
    for key in wanted:
        state = found.get(key, states.GONE)
        made[key] = Moved(state, project.claim(mapping, key, state))
    return made


def place_of(key: Key) -> Place:
    """The partition that speaks of a record."""
    topic = topics.RECORD_TOPICS[key.object]
    return Place(topic.name, partition_of(key.record_id, topic.partitions))
