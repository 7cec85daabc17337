"""The swap: in one transaction, under the exclusive locks, the live tables become what the new generation is.

Row by row where they differ, so that readers never wait, views and grants stay, and what was replaced is the old
generation: all else is the same in both. Rows are made from the swapped states by the workers' own functions, which
also find the cache tags. Workers wait from the comparison to the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.mapping import Mapping as FieldMapping
from services.projector import states
from services.projector.batch import Key
from services.projector.link import Link
from services.projector.log import Place
from services.projector.rebuild import compare, generation
from services.projector.rebuild.compare import Differences
from services.projector.rebuild.start import Job
from services.projector.replay import runs, telling
from services.projector.states import Moved


async def exchange(
    live: Link, mapping: FieldMapping, run_id: int, found: Differences, jobs: Mapping[str, Job]
) -> tuple[dict[Place, set[str]], list[int]]:
    """Put the new generation's records in place of the live ones that differ; the tags, and where they wait.

    A record that the new generation does not have keeps a tombstone, or a later replay of an old copy would show it
    again. Inside the caller's transaction and under its locks.
    """
    keys = sorted(found.records)
    names, ids = [key.object for key in keys], [key.record_id for key in keys]
    statuses = sorted(found.statuses)
    await live.rows("past_forget", run_id)
    await live.rows("past_records", run_id, names, ids)
    await live.rows("past_statuses", run_id, statuses)
    await live.rows("swap_out_records", names, ids)
    await live.rows("swap_in_records", names, ids)
    await live.rows("swap_statuses", statuses)
    tags: dict[Place, set[str]] = {}
    for some in compare.slices(keys, generation.SLICE):
        moved = await generation.states_of(live, mapping, some)
        await states.replace(live, _tombstones(moved, jobs))
        _merge(tags, (await generation.show(live, mapping, moved, {k: generation.place_of(k) for k in some})).by_place)
    return tags, await telling.keep(live, tags)


def _tombstones(moved: Mapping[Key, Moved], jobs: Mapping[str, Job]) -> dict[Key, Moved]:
    return {
        key: Moved(jobs[key.object].gone, None)
        for key, each in moved.items()
        if each.state is states.GONE and key.object in jobs
    }


def _merge(into: dict[Place, set[str]], more: Mapping[Place, Iterable[str]]) -> None:
    for place, tags in more.items():
        into.setdefault(place, set()).update(tags)


async def step_over(live: Link, run_id: int, places: Iterable[Place]) -> None:
    """Let the projection go on from the new generation's offsets, where it could not from its own."""
    wanted = sorted(places)
    if wanted:
        await live.rows("swap_offsets", run_id, [each.topic for each in wanted], [each.partition for each in wanted])


async def end(live: Link, run_id: int, found: Differences) -> None:
    await runs.note(live, run_id, {"swap": found.document()})
    await runs.end(live, run_id)
