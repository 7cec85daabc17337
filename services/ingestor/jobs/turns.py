"""The jobs of one process, an object's one after the other: two at once would only fence each other."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from schemas.mapping import ObjectMapping
from services.ingestor.jobs import delta, full
from services.ingestor.jobs.means import Means, Outcome, Watch
from services.ingestor.jobs.metrics import JobMetrics
from services.ingestor.jobs.timetable import Kind


class Turns:
    """Deltas and full reads for whoever in this process asks for one: the schedule, and the repair of holes."""

    def __init__(self, metrics: JobMetrics) -> None:
        self._metrics = metrics
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def delta(self, means: Means, mapping: ObjectMapping, watch: Watch) -> Outcome:
        return await self._run("delta", means, mapping, lambda: delta.run(means, mapping, watch))

    async def full(self, means: Means, mapping: ObjectMapping, watch: Watch) -> Outcome:
        return await self._run("full", means, mapping, lambda: full.run(means, mapping, watch))

    async def _run(
        self, kind: Kind, means: Means, mapping: ObjectMapping, job: Callable[[], Awaitable[Outcome]]
    ) -> Outcome:
        async with self._locks[mapping.name]:
            began = means.clock.monotonic()
            outcome = await job()
        self._metrics.ended(kind, outcome, means.clock.monotonic() - began)
        if outcome.state == "COMPLETE":
            self._metrics.complete(mapping.name, kind, means.clock.now().timestamp())
        return outcome
