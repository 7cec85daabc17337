"""The progress of runs over the log, in Postgres beside the rows, so that a run goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from services.kernel.kafka import key_hash
from services.projector.engine.guard import Stored
from services.projector.link import Link
from services.projector.log import LogRecord, Place
from services.projector.replay.spans import MEASURED_RATE, Refused, Span

STATEMENTS = "runs.sql"
_SPACE = 0x756D63
"""Keeps these locks apart from those of the projection, and from anybody else's."""


@dataclass(frozen=True, slots=True)
class Run:
    """events, changed, letters: so far; about: what it says of itself, as JSON allows"""

    id: int
    about: Mapping[str, Any]
    events: int = 0
    changed: int = 0
    letters: int = 0


class At(NamedTuple):
    """Where a run is in one partition."""

    begin: int
    next: int
    end: int


class Count(NamedTuple):
    """What a batch came to."""

    events: int
    changed: int
    letters: int
    seconds: float


class Standing(NamedTuple):
    """Where the projection stands in a partition. anew: the topic is another one by now, of life `epoch`."""

    stored: Stored
    epoch: str
    anew: bool


async def lock(link: Link, number: int) -> bool:
    """Whether this connection holds a lock of its own kind now; it lasts as long as the connection."""
    return bool((await link.rows("run_lock", _SPACE, number))[0][0])


async def find(link: Link, kind: str, asked: str) -> Run | None:
    """The unfinished run of these words."""
    return _run(await link.rows("run_open", kind, asked))


async def read(link: Link, run_id: int) -> Run:
    run = _run(await link.rows("run_read", run_id))
    if run is None:
        raise Refused("this run was ended by another command")
    return run


async def last(link: Link, kinds: Sequence[str], asked: str) -> Run | None:
    """The newest finished run of these words."""
    return _run(await link.rows("run_last", list(kinds), asked))


async def other(link: Link, kinds: Sequence[str], kind: str, asked: str) -> tuple[str, str] | None:
    """Kind and words of an unfinished run that is not the one meant."""
    rows = await link.rows("run_other", list(kinds), kind, asked)
    return (rows[0]["kind"], rows[0]["asked"]) if rows else None


def _run(rows: list[Any]) -> Run | None:
    if not rows:
        return None
    row = rows[0]
    return Run(row["id"], msgspec.json.decode(row["about"]), row["events"], row["changed"], row["letters"])


async def begin(link: Link, kind: str, asked: str, spans: Sequence[Span], about: Mapping[str, Any]) -> Run:
    async with link.connection.transaction():
        run_id = (await link.rows("run_begin", kind, asked, msgspec.json.encode(about).decode()))[0][0]
        await reach(link, run_id, spans)
    return Run(run_id, about)


async def reach(link: Link, run_id: int, spans: Sequence[Span]) -> None:
    """Read these partitions as well, or further than was said."""
    lives = await epochs(link, {span.place.topic for span in spans})
    await link.rows(
        "run_spans",
        run_id,
        [span.place.topic for span in spans],
        [span.place.partition for span in spans],
        [lives[span.place.topic] for span in spans],
        [span.begin for span in spans],
        [span.end for span in spans],
    )


async def positions(link: Link, run_id: int) -> dict[Place, At]:
    """Raises Refused where a topic was created anew since."""
    rows = await link.rows("run_positions", run_id)
    for row in rows:
        if row["anew"]:
            raise Refused(f"{row['topic']} was created anew since this run began: give the command with --fresh")
    return {Place(row[0], row[1]): At(row["begin_offset"], row["next_offset"], row["end_offset"]) for row in rows}


async def move(
    link: Link, run_id: int, before: Mapping[Place, int], after: Mapping[Place, int], last: Mapping[Place, LogRecord]
) -> bool:
    """Go on from `before` to `after`, in the transaction of what was read between; False where that is done already.

    last: the last record read of each partition, where there was one
    Raises Refused where the run is somewhere else: another process goes on with it.
    """
    places = sorted(after)
    moved = await link.rows(
        "run_move",
        run_id,
        [place.topic for place in places],
        [place.partition for place in places],
        [before[place] for place in places],
        [after[place] for place in places],
        [last[place].offset if place in last else None for place in places],
        [last[place].timestamp_ms if place in last else None for place in places],
        [key_hash(last[place].key) if place in last else None for place in places],
    )
    if len(moved) == len(places):
        return True
    stands = await positions(link, run_id)
    if any(stands[place].next != after[place] for place in places):
        raise Refused("another process goes on with this run; give the command again once it has ended")
    return False


async def count(link: Link, run_id: int, of: Count) -> None:
    """Raises Refused where the run was ended by somebody else."""
    if not await link.rows("run_count", run_id, *of):
        raise Refused("this run was ended by another command")


async def note(link: Link, run_id: int, about: Mapping[str, Any]) -> None:
    await link.rows("run_about", run_id, msgspec.json.encode(about).decode())


async def end(link: Link, run_id: int, state: str = "done") -> None:
    await link.rows("run_end", run_id, state)


async def rate(link: Link, kind: str) -> float:
    """Events in a second of work, measured by the last run that was long enough to tell."""
    rows = await link.rows("run_rate", kind)
    return float(rows[0][0]) if rows else MEASURED_RATE


async def records(link: Link, objects: Iterable[str]) -> int:
    return int((await link.rows("run_records", sorted(objects)))[0][0])


async def standing(link: Link, names: Iterable[str]) -> dict[Place, Standing]:
    """Where the projection stands, of the partitions that were ever projected."""
    rows = await link.rows("run_standing", sorted(names))
    return {
        Place(row["topic"], row["partition"]): Standing(
            Stored(
                Place(row["topic"], row["partition"]),
                row["projected"],
                row["next_offset"],
                row["last_offset"],
                row["last_timestamp_ms"],
                row["last_key_hash"],
            ),
            row["epoch"],
            row["anew"],
        )
        for row in rows
        if row["partition"] is not None
    }


async def epochs(link: Link, names: Iterable[str]) -> dict[str, str]:
    """The life of each topic. Raises Refused where `umbra migrate` has not made one."""
    wanted = sorted(names)
    found = {row["topic"]: row["epoch"] for row in await link.rows("run_standing", wanted)}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise Refused(f"no epoch for {missing[0]}: run `umbra migrate` first")
    return found
