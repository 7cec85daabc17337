"""A replay: records of the log applied once more, beside the workers, by the same function that they use.

It takes the advisory locks alone, a tenth of a second's records at a time, keeps its own progress and touches no
offset of the projection. What is applied already changes nothing and tells nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from schemas import topics
from schemas.mapping import Mapping as FieldMapping
from services.kernel.errors import Retryable
from services.kernel.settings import KafkaSettings
from services.kernel.tagcache import TagCache
from services.projector import link as links
from services.projector import locks
from services.projector.apply import Outlet, write
from services.projector.batch import decode_all, fold
from services.projector.engine.guard import Extent
from services.projector.link import Link
from services.projector.log import Place
from services.projector.replay import reading, runs, spans, telling
from services.projector.replay.reading import Chunk, LogReader
from services.projector.replay.runs import Count, Run
from services.projector.replay.settling import Settler, Step
from services.projector.replay.spans import Known, Pace, Refused, Span, Wish

KIND = "replay"
_LOCK = 1000
_SCAN_RECORDS = 2_000
"""Records in a step of which few are of the wanted key."""

Watch = Callable[[int, int], None]
"""Is told how many events are behind, and how many at most ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """outlet: where records go that cannot be used"""

    kafka: KafkaSettings
    dsn: str
    mapping: FieldMapping
    cache: TagCache
    outlet: Outlet


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """events, rows: at most so many are read, and may be touched; goes_on: with a run that was stopped"""

    spans: Sequence[Span]
    events: int
    rows: int
    rate: int
    seconds: float
    goes_on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """events: read by all starts of this run; changed: records whose state moved (with repair: all that were compared)

    letters: records that cannot be used; told: whether the caches know; left: events, where it was stopped
    """

    done: bool
    events: int
    changed: int
    letters: int
    told: bool
    left: int


async def planned(means: Means, wish: Wish, rate: int, *, fresh: bool = False) -> Plan:
    """What a replay would do. Raises Refused."""
    link = await links.connect(means.dsn, runs.STATEMENTS)
    try:
        async with reading.opened(means.kafka) as reader:
            chosen, run = await _start(link, reader, wish, fresh=fresh)
        name = topics.OBJECT_OF.get(wish.topic, "Order")
        count = spans.events(chosen)
        rows = 1 if wish.key is not None else await runs.records(link, [name])
        seconds = spans.seconds(count, rate, await runs.rate(link, KIND))
        return Plan(
            spans=chosen, events=count, rows=min(count, rows), rate=rate, seconds=seconds, goes_on=run is not None
        )
    finally:
        link.connection.terminate()


async def run(
    means: Means, wish: Wish, rate: int, watch: Watch, stop: asyncio.Event, *, fresh: bool = False
) -> Outcome:
    """Replay until all is read or `stop`; the same wish goes on later. Raises Refused, Fatal."""
    replay = Replay(means, wish)
    async with reading.opened(means.kafka) as reader:
        try:
            return await replay.run(reader, rate, watch, stop, fresh=fresh)
        finally:
            replay.close()


async def _start(link: Link, reader: LogReader, wish: Wish, *, fresh: bool) -> tuple[list[Span], Run | None]:
    """What is to be read, and the run that it belongs to, where there is one already."""
    extents = await reader.extents([wish.topic])
    going_on = None if fresh else await runs.find(link, KIND, wish.text)
    if going_on is None:
        return spans.spans(wish, await _known(link, reader, wish, extents)), None
    left = []
    for place, at in (await runs.positions(link, going_on.id)).items():
        if at.next < min(at.end, extents[place].start):
            raise Refused(spans.trimmed(place, at.next, extents[place].start))
        left.append(Span(place, at.next, at.end))
    return left, going_on


async def _known(link: Link, reader: LogReader, wish: Wish, extents: dict[Place, Extent]) -> dict[Place, Known]:
    standing = await runs.standing(link, [wish.topic])
    since = await _at(reader, extents, wish.since_ms)
    until = await _at(reader, extents, wish.until_ms)
    return {
        place: Known(
            extent.start,
            extent.end,
            standing[place].stored.next_offset if place in standing else None,
            since.get(place),
            until.get(place),
            place in standing and standing[place].anew,
        )
        for place, extent in extents.items()
    }


async def _at(reader: LogReader, extents: dict[Place, Extent], ms: int | None) -> dict[Place, int | None]:
    return {} if ms is None else await reader.at(dict.fromkeys(extents, ms))


class Replay:
    """One replay in this process."""

    def __init__(self, means: Means, wish: Wish) -> None:
        self._means = means
        self._wish = wish
        self._key = None if wish.key is None else wish.key.encode()
        self._settler = Settler(self._open, self._attempt)
        self._outlet = telling.once(means.outlet)
        self._run = Run(0, {})
        self._locked = False
        self._told = True
        self._began = 0.0

    def close(self) -> None:
        self._settler.close()

    async def run(self, reader: LogReader, rate: int, watch: Watch, stop: asyncio.Event, *, fresh: bool) -> Outcome:
        link = await self._settler.link()
        await self._begin(link, reader, fresh=fresh)
        most = spans.most_records(rate) if self._key is None else _SCAN_RECORDS
        pace, done = Pace(rate), 0
        positions = dict(reader.positions)
        while reader.left and not stop.is_set():
            self._began = time.monotonic()
            chunk = await reader.chunk(most)
            done += await self._step(chunk, positions)
            watch(done, reader.left)
            mine = sum(self._wanted(each.key) for each in chunk.records)
            wait = pace.wait(mine, len(chunk.records) - mine, self._began, time.monotonic())
            await sleep(stop, wait)
        return await self._end(reader.left)

    async def _begin(self, link: Link, reader: LogReader, *, fresh: bool) -> None:
        chosen, found = await _start(link, reader, self._wish, fresh=fresh)
        if fresh and (dropped := await runs.find(link, KIND, self._wish.text)) is not None:
            await runs.end(link, dropped.id, "dropped")
        self._run = found or await runs.begin(link, KIND, self._wish.text, chosen, {})
        reader.begin(chosen)

    async def _step(self, chunk: Chunk, positions: dict[Place, int]) -> int:
        if chunk.positions:
            mine = [each for each in chunk.records if self._wanted(each.key)]
            before = {place: positions[place] for place in chunk.positions}
            await self._settler.settle(Step(decode_all(mine, self._means.mapping), before, chunk.positions))
            positions.update(chunk.positions)
        return len(chunk.records)

    def _wanted(self, key: bytes | None) -> bool:
        return self._key is None or key == self._key

    async def _end(self, left: int) -> Outcome:
        link = await self._settler.link()
        run = await runs.find(link, KIND, self._wish.text) or self._run
        if not left:
            await runs.end(link, run.id)
        return Outcome(
            done=not left, events=run.events, changed=run.changed, letters=run.letters, told=self._told, left=left
        )

    async def _open(self) -> Link:
        """Connect, and hold the topic's own lock: a second replay of it has to wait."""
        link = await links.connect(self._means.dsn, *links.APPLY, runs.STATEMENTS)
        number = _LOCK + list(locks.GROUPS).index(self._wish.topic)
        if await runs.lock(link, number):
            self._locked = True
            return link
        link.connection.terminate()
        if self._locked:
            raise Retryable("the connection that was lost holds the lock still")
        raise Refused(f"another replay of {self._wish.topic} runs")

    async def _attempt(self, link: Link, step: Step) -> None:
        batch = fold(step.decoded)
        async with link.connection.transaction():
            await locks.take(link, {self._wish.topic}, alone=True)
            if not await runs.move(link, self._run.id, step.before, step.after, step.last):
                return
            written = await write(link, self._means.mapping, batch, repair=self._wish.repair)
            if batch.rejected:
                await self._outlet(link, batch.rejected)
            waiting = await telling.keep(link, written.tags)
            took = time.monotonic() - self._began
            await runs.count(link, self._run.id, Count(len(step.decoded), written.moved, len(batch.rejected), took))
            self._began += took
        self._told = await telling.tell(link, self._means.cache, written.tags, waiting) and self._told


async def sleep(stop: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await stop.wait()
        except TimeoutError:
            return
