"""A rebuild: a second generation filled from the log beside the live one, compared with it, and swapped in.

Also its way back: the old generation is what the last swap replaced; it catches up from where it stood then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from schemas.join import join
from services.kernel.errors import Fatal
from services.projector import link as links
from services.projector import locks, project, states
from services.projector.apply import write
from services.projector.batch import Key, decode_all, fold
from services.projector.link import Link
from services.projector.log import Place
from services.projector.rebuild import compare, generation, start, swap
from services.projector.rebuild.aim import Aim, Beginning, jobs_of
from services.projector.rebuild.compare import Differences
from services.projector.rebuild.start import Group, Job, Mark
from services.projector.replay import reading, runs, spans, telling
from services.projector.replay.reading import LogReader
from services.projector.replay.run import Means, Watch, sleep
from services.projector.replay.runs import Count, Run
from services.projector.replay.settling import Settler, Step
from services.projector.replay.spans import Pace, Refused, Span
from services.projector.states import Moved

REBUILD, ROLL_BACK = "rebuild", "roll-back"
KINDS = (REBUILD, ROLL_BACK)
_LOCK = 2000
_CLOSE = 500
"""Records that may be left when the locks are taken: read in some tens of milliseconds."""

_HELD_SECONDS = 10.0
"""Longest time that workers are held for those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """back: to the old generation; swap: when all is filled and compared, and not only compared"""

    group: Group
    back: bool = False
    swap: bool = True

    @property
    def kind(self) -> str:
        return ROLL_BACK if self.back else REBUILD


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """events: at most so many to read; jobs: the reads that it begins from; moved: partitions whose offset it sets"""

    spans: Sequence[Span]
    events: int
    seconds: float
    goes_on: bool
    jobs: Sequence[Job]
    broken: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """state: swapped, compared (not swapped, because not wished) or stopped"""

    state: str
    events: int
    letters: int
    told: bool = True
    left: int = 0
    dropped: int = 0
    differences: Differences = field(default_factory=Differences)


async def planned(means: Means, wish: Wish, rate: int, said: Sequence[Job] = (), *, fresh: bool = False) -> Plan:
    """What it would read. said: complete full reads that the ledger may not know of. Raises Refused."""
    async with reading.opened(means.kafka) as reader:
        rebuild = Rebuild(means, wish, reader, said)
        try:
            return await rebuild.plan(rate, fresh=fresh)
        finally:
            rebuild.close()


async def run(
    means: Means,
    wish: Wish,
    rate: int,
    watch: Watch,
    stop: asyncio.Event,
    said: Sequence[Job] = (),
    *,
    fresh: bool = False,
) -> Outcome:
    """Fill, compare, swap; or stop, and the same wish goes on later. Raises Refused, Fatal."""
    async with reading.opened(means.kafka) as reader:
        rebuild = Rebuild(means, wish, reader, said)
        try:
            return await rebuild.run(rate, watch, stop, fresh=fresh)
        finally:
            rebuild.close()


class Rebuild:
    """One rebuild, or one way back, in this process."""

    def __init__(self, means: Means, wish: Wish, reader: LogReader, said: Sequence[Job]) -> None:
        self._means = means
        self._wish = wish
        self._group = wish.group
        self._reader = reader
        self._aim = Aim(means.kafka, wish.group, reader)
        self._said = said
        self._settler = Settler(lambda: generation.inside(means.dsn), self._attempt)
        self._outlet = telling.once(means.outlet)
        self._plain: Link | None = None
        self._live: Link | None = None
        self._run = Run(0, {})
        self._jobs: dict[str, Job] = {}
        self._marks: set[Mark] = set()
        self._at: dict[Place, int] = {}
        self._dropped = 0
        self._looked = datetime.min.replace(tzinfo=UTC)

    def close(self) -> None:
        self._settler.close()
        for link in (self._plain, self._live):
            if link is not None:
                link.connection.terminate()

    async def plan(self, rate: int, *, fresh: bool) -> Plan:
        link = await self._connect()
        found = None if fresh else await runs.find(link, self._wish.kind, self._group.name)
        await self._aim.look(link)
        if found is None:
            beginning = await self._beginning(link)
            self._jobs, begins = jobs_of(beginning.about), beginning.offsets
        else:
            self._jobs = jobs_of(found.about)
            begins = {place: at.next for place, at in (await runs.positions(link, found.id)).items()}
        targets = await self._aim.targets(link)
        chosen = [Span(place, begin, targets[place]) for place, begin in begins.items()]
        count = spans.events(span for span in chosen if span.begin < span.end)
        seconds = spans.seconds(count, rate, await runs.rate(link, REBUILD))
        broken = [f"{place.topic}/{place.partition}" for place in sorted(self._aim.broken)]
        jobs = list(self._jobs.values())
        return Plan(spans=chosen, events=count, seconds=seconds, goes_on=found is not None, jobs=jobs, broken=broken)

    async def run(self, rate: int, watch: Watch, stop: asyncio.Event, *, fresh: bool) -> Outcome:
        link = await self._connect()
        if not await runs.lock(link, _LOCK):
            raise Refused("another rebuild runs")
        await self._aim.look(link)
        await self._begin(link, fresh=fresh)
        pace, behind = Pace(rate), await self._reach(link)
        while not stop.is_set():
            await self._fill(pace, watch, stop)
            if stop.is_set():
                break
            # Only the first pass is paced: then it has to come closer than the workers move away.
            pace, behind = Pace(spans.MEASURED_RATE * 100), await self._reach(link)
            if behind > _CLOSE:
                continue
            await self._drop()
            outcome = await self._swap(link)
            if outcome is not None:
                return outcome
            behind = await self._reach(link)
        at = await runs.find(link, self._wish.kind, self._group.name) or self._run
        return Outcome(state="stopped", events=at.events, letters=at.letters, left=self._reader.left)

    # Beginning

    async def _connect(self) -> Link:
        self._plain = await links.connect(self._means.dsn, *links.APPLY, runs.STATEMENTS, command_timeout=900.0)
        # Preparing leaves a transaction open in which no isolation level can be chosen.
        await self._plain.connection.execute("SELECT 1")
        return self._plain

    async def _beginning(self, link: Link) -> Beginning:
        if not self._wish.back:
            return await self._aim.beginning(link, self._said)
        past = await runs.last(link, KINDS, self._group.name)
        if past is None:
            raise Refused(f"there is no old generation of {self._group.name}: it was never swapped")
        return await self._aim.way_back(link, past.id)

    async def _begin(self, link: Link, *, fresh: bool) -> None:
        await self._end_others(link, fresh=fresh)
        found = await runs.find(link, self._wish.kind, self._group.name)
        if found is None:
            found = await self._begin_anew(link)
        self._run, self._jobs = found, jobs_of(found.about)
        self._marks = {Mark(*each) for each in found.about.get("marks", ())}
        self._live = await generation.beside(self._means.dsn)
        if self._wish.back:
            await self._show_past(self._live, found.about["past"])
        self._at = {place: at.next for place, at in (await runs.positions(link, found.id)).items()}

    async def _end_others(self, link: Link, *, fresh: bool) -> None:
        asked = ("", "") if fresh else (self._wish.kind, self._group.name)
        while (other := await runs.other(link, KINDS, *asked)) is not None:
            kind, name = other
            if not fresh:
                raise Refused(f"a {kind} of {name} is unfinished: finish it, or give this command with --fresh")
            stale = await runs.find(link, kind, name)
            if stale is not None:
                await runs.end(link, stale.id, "dropped")

    async def _begin_anew(self, link: Link) -> Run:
        beginning = await self._beginning(link)
        about = beginning.about
        chosen = [Span(place, begin, begin) for place, begin in beginning.offsets.items()]
        async with link.connection.transaction(isolation="repeatable_read"):
            await generation.make(link)
            if self._wish.back:
                await generation.copy(link, self._group)
                await generation.put_back(link, about["past"])
            elif "sf_order_status" in self._group.tables:
                await generation.copy_statuses(link)
            return await runs.begin(link, self._wish.kind, self._group.name, chosen, about)

    async def _show_past(self, live: Link, past: int) -> None:
        """Make the rows of the states that were put back; again after a stop, which changes nothing."""
        inside, last = await self._settler.link(), Key("", "")
        keys = [Key("Order", row["order_id"]) for row in await live.rows("past_orders", past)]
        for some in compare.slices(keys, generation.SLICE):
            await self._show(inside, some)
        while rows := await live.rows("past_read", past, *last):
            some = [Key(row["object"], row["record_id"]) for row in rows]
            await self._show(inside, some)
            last = some[-1]

    async def _show(self, inside: Link, keys: Sequence[Key]) -> None:
        moved = await generation.states_of(inside, self._means.mapping, keys)
        async with inside.connection.transaction():
            await generation.show(inside, self._means.mapping, moved, {key: generation.place_of(key) for key in keys})

    # Filling

    async def _reach(self, link: Link) -> int:
        """Read on to where the workers stand now; how many events that is at most."""
        targets = await self._aim.targets(link)
        chosen = [Span(place, at, max(at, targets[place])) for place, at in self._at.items()]
        await runs.reach(link, self._run.id, chosen)
        self._reader.begin(chosen)
        return self._reader.left

    async def _fill(self, pace: Pace, watch: Watch, stop: asyncio.Event) -> None:
        most, done = spans.most_records(pace.rate), 0
        while self._reader.left and not stop.is_set():
            began = time.monotonic()
            count = await self._step(most)
            done += count
            watch(done, self._reader.left)
            await sleep(stop, pace.wait(count, 0, began, time.monotonic()))

    async def _step(self, most: int) -> int:
        chunk = await self._reader.chunk(most)
        if chunk.positions:
            before = {place: self._at[place] for place in chunk.positions}
            await self._settler.settle(Step(decode_all(chunk.records, self._means.mapping), before, chunk.positions))
            self._at.update(chunk.positions)
        return len(chunk.records)

    async def _attempt(self, link: Link, step: Step) -> None:
        began = time.monotonic()
        batch = fold(step.decoded)
        # How far the live tables are covered is not the new generation's to say.
        batch.marks.clear()
        seen = start.marks(step.decoded, self._jobs) - self._marks
        async with link.connection.transaction():
            if not await runs.move(link, self._run.id, step.before, step.after, step.last):
                return
            # What was carried over of the statuses gives way to what the log says of the same version.
            written = await write(link, self._means.mapping, batch, repair=bool(batch.statuses))
            if seen:
                await runs.note(link, self._run.id, {"marks": sorted(self._marks | seen)})
            took = time.monotonic() - began
            count = Count(len(step.decoded), written.moved, len(batch.rejected), took)
            await runs.count(link, self._run.id, count)
        self._marks |= seen
        if batch.rejected:
            await self._set_aside(step)

    async def _set_aside(self, step: Step) -> None:
        live = self._plain
        if live is None or live.closed:
            raise Fatal("the connection that holds the lock was lost; the same command goes on")
        async with live.connection.transaction():
            await self._outlet(live, [each for each in step.decoded if each.event is None])

    # Dropping what the reads do not show, and swapping

    async def _drop(self) -> None:
        """Records of which nothing at or after the read's bound is known, and which it did not show: gone.

        A second time only of what was written since the first: the workers are held then.
        """
        inside, live = await self._settler.link(), await self._beside()
        since, self._looked = self._looked, (await inside.rows("run_now"))[0][0]
        for name, job in self._jobs.items():
            after = ""
            while rows := await live.rows("unproven", name, after, job.least, since):
                await self._drop_some(inside, [Key(name, row["record_id"]) for row in rows], job)
                after = rows[-1]["record_id"]

    async def _drop_some(self, inside: Link, keys: Sequence[Key], job: Job) -> None:
        known = await states.read(inside, keys)
        made = {key: join(state, job.gone) for key, state in known.items()}
        moved = {key: Moved(state, project.claim(self._means.mapping, key, state)) for key, state in made.items()}
        async with inside.connection.transaction():
            await states.replace(inside, moved)
            await generation.show(inside, self._means.mapping, moved, {key: generation.place_of(key) for key in keys})
        self._dropped += len(moved)

    async def _beside(self) -> Link:
        if self._live is None or self._live.closed:
            self._live = await generation.beside(self._means.dsn)
        return self._live

    async def _swap(self, link: Link) -> Outcome | None:
        """None where the workers have moved on too far: read on without their locks first."""
        if self._jobs and (lacks := start.missing(self._marks, self._jobs)) is not None:
            raise Refused(f"{lacks}: that read is not whole in the log. Another one is needed (`umbra backfill`).")
        live = await self._beside()
        async with live.connection.transaction():
            await locks.take(live, self._group.topics, alone=True)
            if await self._reach(link) > _CLOSE:
                return None
            if not await self._close_up(link):
                return None
            await self._drop()
            found = await compare.differences(live, self._group)
            if not self._wish.swap:
                return await self._outcome(live, "compared", found)
            tags, waiting = await swap.exchange(live, self._means.mapping, self._run.id, found, self._jobs)
            await swap.step_over(live, self._run.id, self._aim.broken)
            await swap.end(live, self._run.id, found)
            outcome = await self._outcome(live, "swapped", found, told=False)
        told = await telling.tell(live, self._means.cache, tags, waiting)
        await generation.drop(link)
        return replace(outcome, told=told)

    async def _close_up(self, link: Link) -> bool:
        """Read the rest with the workers held; False where the log does not give it soon."""
        try:
            async with asyncio.timeout(_HELD_SECONDS):
                while self._reader.left:
                    await self._step(_CLOSE)
        except TimeoutError:
            self._at = {place: at.next for place, at in (await runs.positions(link, self._run.id)).items()}
            return False
        return True

    async def _outcome(self, live: Link, state: str, found: Differences, *, told: bool = True) -> Outcome:
        run = await runs.read(live, self._run.id)
        return Outcome(
            state=state, events=run.events, letters=run.letters, dropped=self._dropped, differences=found, told=told
        )
