"""Does what the to-do list says: reads records by id, closes holes by a delta or a full read; nothing due, no call.

A mark is not read at once: the one read that begins late enough to prove it settles the record, and a call before
that would only be a second one. It ends each case, whatever it finds: a snapshot is newer than the mark, and what
Salesforce does not show is absent.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from schemas import topics
from schemas.mapping import Mapping, ObjectMapping
from services.ingestor.jobs.means import Means, Outcome, Watch
from services.ingestor.openings import FIRST
from services.ingestor.repair import byid, due, timing
from services.ingestor.repair.byid import Answer
from services.ingestor.repair.due import Due, Hole, Todo
from services.ingestor.repair.metrics import RepairMetrics
from services.ingestor.repair.timing import Attempts, Remedy
from services.ingestor.settings import RepairSettings
from services.ingestor.transactions import Abandoned
from services.kernel.errors import Retryable
from services.kernel.retry import Backoff
from services.salesforce.errors import BudgetRefused, SalesforceError
from services.salesforce.rest import MOST_IDS

log = logging.getLogger(__name__)

Job = Callable[[Means, ObjectMapping, Watch], Coroutine[Any, Any, Outcome]]

_POSTPONED = (5.0, 600.0)
"""First and longest pause of an object whose repair did not work, in seconds."""
_FLOOD = "*"
"""An object as a whole: read so because too many of its records were due. What it left is then read by id."""
_UNTIMED_SECONDS = 1.0
"""Until the org has told the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What closes holes."""

    full: Job
    delta: Job

    def of(self, remedy: Remedy) -> Job:
        return self.full if remedy == "full" else self.delta


class Repairs:
    """The repairs of one fleet; its one owner calls `round` again and again."""

    def __init__(
        self,
        means: Means,
        mapping: Mapping,
        jobs: Jobs,
        settings: RepairSettings,
        metrics: RepairMetrics,
        org_now_ms: Callable[[], int],
    ) -> None:
        self._means = means
        self._mapping = mapping
        self._jobs = jobs
        self._settings = settings
        self._metrics = metrics
        self._org_now_ms = org_now_ms
        self._attempts = Attempts()
        self._postponed: dict[str, tuple[Backoff, float]] = {}
        self._first_seen: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._away = Backoff(first=1.0, longest=30.0)

    async def round(self) -> float:
        """Do what is due; returns the seconds until it should look again.

        While a hole is being closed, which may take long, it goes on with what is due besides.
        """
        async with asyncio.TaskGroup() as group:
            pause = await self._look(group)
            while self._running:
                running = asyncio.wait(self._running.values(), timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                await running
                pause = await self._look(group)
        return pause

    async def _look(self, group: asyncio.TaskGroup) -> float:
        try:
            todo = await due.read(self._means.dsn)
        except Retryable as error:
            log.warning("repairs wait", extra={"action": "repairs_wait", "why": str(error)})
            return self._away.next()
        self._away.reset()
        self._noted(todo)
        try:
            now_ms = self._org_now_ms()
        except ValueError:
            return _UNTIMED_SECONDS
        pause = self._settings.repair_look_seconds
        for name in topics.RECORD_TOPICS:
            if name in self._mapping.objects:
                pause = min(pause, await self._object(group, self._mapping.objects[name], todo, now_ms))
        return pause

    def _noted(self, todo: Todo) -> None:
        records = [each for some in todo.records.values() for each in some]
        holes = [hole for some in todo.holes.values() for hole in some]
        floods = [(name, _FLOOD) for name, some in todo.records.items() if len(some) >= due.MOST_RECORDS]
        keys = [*((each.object, each.record_id) for each in records), *((hole.object, hole.id) for hole in holes)]
        self._attempts.keep([*keys, *floods])
        self._metrics.due.clear()
        counted = Counter([*((each.object, each.reason) for each in records), *((h.object, h.kind) for h in holes)])
        for (name, reason), number in counted.items():
            self._metrics.due.labels(name, reason).set(number)

    async def _object(self, group: asyncio.TaskGroup, mapping: ObjectMapping, todo: Todo, now_ms: int) -> float:
        """One object's share; returns the seconds until something of it may be due."""
        name, monotonic = mapping.name, self._means.clock.monotonic()
        waits = {each: self._wait(each, now_ms) for each in todo.records.get(name, ())}
        ready = [each for each, wait in waits.items() if wait <= 0]
        read_whole = self._attempts.resting(name, _FLOOD, None, monotonic) > 0
        flooded = len(ready) >= due.MOST_RECORDS and not read_whole
        if not flooded and not self._rest(name):
            await self._records(mapping, ready)
        if name not in self._running and not self._rest(name):
            self._begin(group, mapping, self._ready_holes(todo.holes.get(name, ()), now_ms), flooded=flooded)
        pause = min([self._settings.repair_look_seconds, *(wait for wait in waits.values() if wait > 0)])
        return self._rest(name) or pause

    def _rest(self, name: str) -> float:
        """Seconds for which an object is left alone after what did not work."""
        _, until = self._postponed.get(name, (None, 0.0))
        return max(0.0, until - self._means.clock.monotonic())

    async def _records(self, mapping: ObjectMapping, ready: Sequence[Due]) -> None:
        for start in range(0, len(ready), MOST_IDS):
            if not await self._read(mapping, ready[start : start + MOST_IDS]):
                return

    def _wait(self, each: Due, now_ms: int) -> float:
        early = (timing.record_ms(each, self._means.margin_ms) - now_ms) / 1000
        monotonic = self._means.clock.monotonic()
        return max(early, self._attempts.resting(each.object, each.record_id, each.mark, monotonic))

    async def _read(self, mapping: ObjectMapping, some: Sequence[Due]) -> bool:
        """One call, or its parts, and one transaction. False: put off, the rest of the object with it."""
        try:
            told = await byid.read(self._means, mapping, [each.record_id for each in some])
            self._metrics.reads.labels(mapping.name).inc(told.calls)
            await byid.write(self._means, mapping, told)
        except (SalesforceError, Retryable, Abandoned, KafkaError) as error:
            self._postpone(mapping.name, _why(error), error)
            return False
        self._postponed.pop(mapping.name, None)
        self._read_all(some, told)
        return True

    def _read_all(self, some: Sequence[Due], told: Answer) -> None:
        outcomes = {
            **{change.record_id: "absent" for change in told.absent},
            **dict.fromkeys(told.unfit, "unfit"),
            **dict.fromkeys(told.refused, "refused"),
        }
        monotonic = self._means.clock.monotonic()
        for each in some:
            outcome = outcomes.get(each.record_id, "snapshot")
            proved = (
                outcome == "refused" or each.mark is None or (told.version is not None and told.version > each.mark)
            )
            self._metrics.repairs.labels(each.object, each.reason, outcome if proved else "early").inc()
            if proved:
                version = None if outcome == "refused" else told.version
                self._attempts.made(each.object, each.record_id, version, monotonic)

    def _ready_holes(self, holes: Iterable[Hole], now_ms: int) -> list[Hole]:
        monotonic = self._means.clock.monotonic()
        ready = []
        for hole in holes:
            begin = timing.hole_ms(hole, self._means.margin_ms)
            resting = self._attempts.resting(hole.object, hole.id, None, monotonic)
            if begin is not None and begin <= now_ms and not resting and not self._left_to_people(hole, monotonic):
                ready.append(hole)
        return ready

    def _left_to_people(self, hole: Hole, monotonic: float) -> bool:
        """After a first start somebody is about to run a backfill, planned and watched; only later do we."""
        if not hole.id.startswith(FIRST):
            return False
        first_seen = self._first_seen.setdefault(hole.id, monotonic)
        return monotonic - first_seen < self._settings.repair_first_seconds

    def _begin(self, group: asyncio.TaskGroup, mapping: ObjectMapping, holes: list[Hole], *, flooded: bool) -> None:
        if holes or flooded:
            remedy: Remedy = "full" if flooded else timing.of_all(holes)
            task = group.create_task(self._close(mapping, remedy, holes), name=f"close holes of {mapping.name}")
            self._running[mapping.name] = task
            task.add_done_callback(lambda _: self._running.pop(mapping.name, None))

    async def _close(self, mapping: ObjectMapping, remedy: Remedy, holes: Sequence[Hole]) -> None:
        log.warning("holes are being closed", extra={"action": "repair", "object": mapping.name, "by": remedy})
        outcome = await self._jobs.of(remedy)(self._means, mapping, _unwatched)
        if outcome.why == "unproven" and remedy == "delta":
            outcome = await self._jobs.full(self._means, mapping, _unwatched)
        for hole in holes:
            ended = "partial" if outcome.state == "PARTIAL" else "closed" if hole.id in outcome.closed else "open"
            self._metrics.repairs.labels(mapping.name, hole.kind, ended).inc()
        done = [] if outcome.state == "PARTIAL" else [hole.id for hole in holes]
        if outcome.state == "COMPLETE" or outcome.why == "unproven":  # then all was read, if not all is proven gone
            done.append(_FLOOD)
        for name in done:
            self._attempts.made(mapping.name, name, None, self._means.clock.monotonic(), timing.HOLE_AGAIN)
        if outcome.state == "PARTIAL":
            self._postpone(mapping.name, outcome.why or "partial", outcome.reason)
        else:
            self._postponed.pop(mapping.name, None)

    def _postpone(self, name: str, why: str, error: object) -> None:
        backoff, _ = self._postponed.get(name, (Backoff(first=_POSTPONED[0], longest=_POSTPONED[1]), 0.0))
        seconds = backoff.next()
        self._postponed[name] = (backoff, self._means.clock.monotonic() + seconds)
        self._metrics.postponed.labels(name, why).inc()
        extra = {"action": "repair_postponed", "object": name, "why": str(error), "again_in": round(seconds, 1)}
        log.warning("repair is put off", extra=extra)


def _unwatched(name: str, rows: int, total: int) -> None:
    """Nobody looks on."""


def _why(error: Exception) -> str:
    match error:
        case BudgetRefused():
            return "budget"
        case SalesforceError():
            return "salesforce"
        case Retryable():
            return "postgres"
        case _:
            return "log"
