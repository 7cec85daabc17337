"""What the one owner of the jobs runs: repairs all the time, each object's delta nightly, a full read now and then.

Nothing is kept in memory that matters: where each job stands is in its checkpoint. What ends PARTIAL, for the budget
or for anything else, is tried again later the same night; an hour without a slot costs no call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Never, Protocol

from aiokafka.errors import KafkaError

from schemas import topics
from schemas.mapping import ObjectMapping
from services.ingestor import checkpoints
from services.ingestor.jobs import delta, resume, timetable
from services.ingestor.jobs.means import Means, Outcome
from services.ingestor.jobs.metrics import JobMetrics
from services.ingestor.jobs.timetable import KINDS, Kind, ScheduleSettings, Standing
from services.ingestor.jobs.turns import Turns
from services.ingestor.transactions import Abandoned
from services.kernel.retry import Backoff

log = logging.getLogger(__name__)

_AGAIN = (300.0, 3_600.0)
"""First and longest pause before an object's job that ended PARTIAL is tried again, in seconds."""
_AT_ONCE_SECONDS = 1.0
_LOOK_SECONDS = 900.0
"""Longest sleep: a slot is never missed by more, whatever is done to the machine's clock."""


class Rounds(Protocol):
    """Work that says itself when it wants to look again."""

    async def round(self) -> float:
        """Do what is due; returns seconds until the next look."""
        ...


@dataclass(slots=True)
class _Put:
    """A kind of an object's jobs that is put off."""

    until: float
    backoff: Backoff = field(default_factory=lambda: Backoff(first=_AGAIN[0], longest=_AGAIN[1]))


class Schedule:
    """Made by the owner of the jobs' checkpoint partition, and run until that is revoked."""

    def __init__(
        self,
        means: Means,
        objects: Mapping[str, ObjectMapping],
        settings: ScheduleSettings,
        turns: Turns,
        metrics: JobMetrics,
        repairs: Rounds | None = None,
    ) -> None:
        self._means = means
        self._objects = {name: objects[name] for name in topics.RECORD_TOPICS if name in objects}
        self._places = {name: nth for nth, name in enumerate(self._objects)}
        self._settings = settings
        self._turns = turns
        self._metrics = metrics
        self._repairs = repairs
        self._put: dict[tuple[str, Kind], _Put] = {}
        self._unproven: set[str] = set()
        """Objects whose delta cannot prove what it is for, until a full read does."""

    async def run(self) -> Never:
        """Until cancelled. What fails for no reason known here is raised, and ends the process."""
        async with asyncio.TaskGroup() as group:
            if self._repairs is not None:
                group.create_task(_rounds(self._repairs), name="repairs")
            if self._settings.schedule_enabled:
                group.create_task(self._nights(), name="schedule")
            await asyncio.Event().wait()
        raise AssertionError("unreachable: a group that waits for ever ended")

    async def _nights(self) -> Never:
        started = self._means.clock.now()
        while True:
            pause = await self.look(started)
            await asyncio.sleep(pause)

    async def look(self, started: datetime) -> float:
        """Run what is due, one object after the other; returns seconds until something may be.

        started: since when this owner is one
        """
        for name, mapping in self._objects.items():
            kind = await self._due(name, started)
            if kind is not None:
                self._judge(name, kind, await self._job(kind, mapping))
        now = self._means.clock.now()
        until_slot = (timetable.next_slot(self._settings, self._places, now) - now) / timedelta(seconds=1)
        resting = [rest for name in self._objects for kind in KINDS if (rest := self._rest(name, kind)) > 0]
        return max(_AT_ONCE_SECONDS, min([_LOOK_SECONDS, until_slot, *resting]))

    def _rest(self, name: str, kind: Kind) -> float:
        put = self._put.get((name, kind))
        return 0.0 if put is None else put.until - self._means.clock.monotonic()

    async def _due(self, name: str, started: datetime) -> Kind | None:
        """Nothing while the log cannot be read."""
        try:
            stands = await self._standing(name)
        except (KafkaError, Abandoned) as error:
            log.warning("the schedule waits", extra={"action": "schedule_waits", "why": str(error)})
            return None
        begun = timetable.slot(self._settings, self._places[name], self._means.clock.now())
        put_off = self._rest(name, "full") > 0
        kind = timetable.due(self._settings, stands, begun, started, full_put_off=put_off)
        if kind == "delta" and (name in self._unproven or self._overdue(name, stands, begun)):
            kind = "full"
        return None if kind is None or self._rest(name, kind) > 0 else kind

    def _overdue(self, name: str, stands: Standing, begun: datetime) -> bool:
        """Whether a full read is to be tried in the place of a delta that is put off."""
        return self._rest(name, "delta") > 0 and timetable.full_due(self._settings, stands, begun)

    async def _standing(self, name: str) -> Standing:
        partition = topics.JOBS_PARTITION
        last_delta = await checkpoints.read(self._means.kafka, partition, delta.job_name(name))
        last_full = await checkpoints.read(self._means.kafka, partition, resume.job_name(name))
        stands = timetable.standing(last_delta, last_full)
        for kind, at in (("delta", stands.delta), ("full", stands.full)):
            if at is not None:
                self._metrics.complete(name, kind, at.timestamp())
        return stands

    async def _job(self, kind: Kind, mapping: ObjectMapping) -> Outcome:
        log.info("a scheduled job begins", extra={"action": "job_begins", "object": mapping.name, "kind": kind})
        run = self._turns.full if kind == "full" else self._turns.delta
        return await run(self._means, mapping, _unwatched)

    def _judge(self, name: str, kind: Kind, outcome: Outcome) -> None:
        """A delta that cannot prove what it is for is followed by a full read, at once."""
        if outcome.state == "COMPLETE":
            self._put.pop((name, kind), None)
            self._unproven -= {name} if kind == "full" else set()
            return
        if outcome.why == "unproven" and kind == "delta":
            self._unproven.add(name)
        put = self._put.setdefault((name, kind), _Put(0.0))
        pause = put.backoff.next()
        put.until = self._means.clock.monotonic() + pause
        extra = {"action": "job_put_off", "object": name, "kind": kind, "why": outcome.why, "again_in": round(pause)}
        log.warning("a scheduled job is put off", extra=extra)


async def _rounds(repairs: Rounds) -> Never:
    while True:
        pause = await repairs.round()
        await asyncio.sleep(pause)


def _unwatched(name: str, rows: int, total: int) -> None:
    """Nobody looks on."""
