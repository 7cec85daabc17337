"""A full read of one object into the log, resumable row by row, complete only when every count agrees.

Its own transactional id fences another process that runs the same job; position and rows are one transaction, so
after a kill it goes on at the very row. It ends COMPLETE, or PARTIAL with what resumes it, never falsely complete.
With `anti_join` it also says of what the read did not show that it is gone, and only then that the object is covered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from schemas import topics, versions
from schemas.events import Checkpoint, RecordChange, Watermark
from schemas.mapping import ObjectMapping
from services.ingestor import checkpoints, openings, outgoing, reading, transactions
from services.ingestor.jobs import confirming, copying, gone, holes, lives, plan, resume
from services.ingestor.jobs.copying import Copied, Copying
from services.ingestor.jobs.lives import Mismatch, Unproven
from services.ingestor.jobs.means import Means as Means
from services.ingestor.jobs.means import Outcome as Outcome
from services.ingestor.jobs.means import Watch as Watch
from services.ingestor.jobs.means import Why
from services.ingestor.jobs.resume import Resume, job_name
from services.ingestor.outgoing import Record
from services.ingestor.transactions import Transactions
from services.kernel.errors import Retryable
from services.salesforce import changes
from services.salesforce.bulk import Job
from services.salesforce.calls import CallClass, within
from services.salesforce.errors import Incomplete, JobFailed, NotFound

log = logging.getLogger(__name__)

_CALL_SECONDS = 120.0
_PROJECTOR_SECONDS = 900.0
"""Longest wait for the projector to apply a read that is in the log; later the run is given up, and gone on with."""
_READ_KEEPS = timedelta(days=1)
_MANY_RECORDS, _MANY_SHARE = 1_000, 0.2
"""So many records gone at once are more likely hidden by a permission than deleted."""

_KEPT = ("rate", "proven_r0_ms", "margin_ms", "done_ms", "anti_join_ms")
"""Of the newest complete read, and of the newest with an anti-join; kept while the next one is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """fresh: start anew in any case; anti_join: find what is gone; many: believe it also of very many"""

    fresh: bool = False
    anti_join: bool = False
    many: bool = False


async def run(
    means: Means,
    mapping: ObjectMapping,
    watch: Watch,
    *,
    fresh: bool = False,
    anti_join: bool = False,
    many: bool = False,
) -> Outcome:
    """Go on with the object's unfinished backfill, or start one."""
    return await lives.run(Backfill(means, mapping, watch, Wish(fresh=fresh, anti_join=anti_join, many=many)))


class Backfill:
    """One object's backfill in this process."""

    def __init__(self, means: Means, mapping: ObjectMapping, watch: Watch, wish: Wish) -> None:
        self._means = means
        self._mapping = mapping
        self._object = mapping.name
        self._watch = watch
        self._wish = wish
        self._fresh = wish.fresh
        self._at: Resume | None = None
        self._copying: Copying | None = None
        self._gone = 0
        self._rate = plan.RATE
        self._kept: dict[str, Any] = {}

    def partial(self, why: Why, reason: str) -> Outcome:
        at = self._copying.at if self._copying else self._at
        return Outcome(
            object=self._object,
            state="PARTIAL",
            rows=at.rows if at else 0,
            absent=self._gone,
            job_id=at.job_id if at else None,
            why=why,
            reason=reason,
            token=job_name(self._object),
        )

    async def live(self) -> Outcome:
        means = self._means
        self._gone = 0
        async with transactions.opened(means.kafka, transactions.id_of(job_name(self._object))) as held:
            stored = await checkpoints.read(means.kafka, topics.JOBS_PARTITION, job_name(self._object))
            self._kept = {key: stored.job[key] for key in _KEPT if key in stored.job} if stored else {}
            unfinished = None if self._fresh or self._stale(stored) else resume.of(stored)
            if unfinished is not None and unfinished.selected != resume.selection(self._mapping):
                unfinished = None
            if unfinished is None or unfinished.state != "read":
                unfinished = await self._read(held, unfinished)
            self._at = unfinished
            if self._wish.anti_join:
                await self._anti_join(held, unfinished)
            return await self._ended(held, unfinished)

    def _stale(self, stored: Checkpoint | None) -> bool:
        """Read, and left without its end for so long that it would prove too little: another read is worth more."""
        read = stored is not None and stored.job.get("state") == "read"
        return read and stored is not None and self._means.clock.now() - stored.written_at > _READ_KEEPS

    async def _read(self, held: Transactions, unfinished: Resume | None) -> Resume:
        """All rows in the log, and as many as SOQL counts."""
        job = await self._resumed(unfinished) if unfinished else None
        at = unfinished if unfinished and job else None
        if at is None or job is None:
            job, at = await self._started(held)
        self._at, self._fresh = at, False
        job = await self._finished(held, job, at)
        of = Copied(
            mapping=self._mapping,
            origin="backfill",
            call_class=CallClass.BACKFILL,
            checkpoint=self._checkpoint,
            watch=self._watch,
        )
        self._copying = Copying(self._means, held, of, at)
        before, began = at.rows, self._means.clock.monotonic()
        at = await self._copied(held, self._copying, job)
        if at.rows > before:
            self._rate = round((at.rows - before) / max(self._means.clock.monotonic() - began, 0.001), 1)
        return await self._counted(held, at)

    async def _copied(self, held: Transactions, copy: Copying, job: Job) -> Resume:
        """No later run gets other rows from the same job: what does not fit now never will."""
        try:
            return await copy.run(job)
        except (ValueError, Incomplete):
            await held.commit([self._checkpoint(copy.at.ended("void"))])
            raise

    async def _resumed(self, at: Resume) -> Job | None:
        """The job of an earlier run; None when Salesforce has forgotten it, or it came to nothing."""
        try:
            job = await self._means.bulk.job(
                at.job_id, at.r0_ms, call_class=CallClass.BACKFILL, deadline=within(_CALL_SECONDS)
            )
        except NotFound:
            return None
        return None if job.state in ("Failed", "Aborted") else job

    async def _started(self, held: Transactions) -> tuple[Job, Resume]:
        """Count, then the job, then its start in the log. Nothing of the object that is older is missed: r0 is the
        start of the create call."""
        means = self._means
        closes = await self._first_hole()
        counted = await plan.count(means.rest, self._object)
        opened = await holes.open_holes(means.dsn, self._object)
        if seconds := holes.worth_waiting(opened, counted.r0_ms, means.margin_ms):
            log.warning("waiting, to read what ended just now", extra={"action": "backfill_waits", "seconds": seconds})
            await asyncio.sleep(seconds)
        job = await means.bulk.create(
            copying.select_rows(self._mapping), call_class=CallClass.BACKFILL, deadline=within(_CALL_SECONDS)
        )
        at = Resume(
            job_id=job.id,
            r0_ms=job.r0_ms,
            margin_ms=means.margin_ms,
            selected=resume.selection(self._mapping),
            least=counted.total,
            closes=closes,
        )
        await held.commit([*self._mark(at, "start"), self._checkpoint(at)])
        return job, at

    async def _first_hole(self) -> tuple[str, ...]:
        """The hole of the stream's first start, when that lies behind us: known from the log, not only by Postgres."""
        topic = next((name for name in topics.SALESFORCE_TOPICS if reading.object_of(name) == self._object), None)
        if topic is None:
            return ()
        begun = await checkpoints.read(self._means.kafka, topics.checkpoint_partition(topic), topic)
        return () if begun is None else (openings.first_hole_id(topic, begun.covered_from),)

    async def _finished(self, held: Transactions, job: Job, at: Resume) -> Job:
        try:
            return await self._means.bulk.finished(
                job, call_class=CallClass.BACKFILL, deadline=within(self._means.job_seconds)
            )
        except (JobFailed, NotFound):
            await held.commit([self._checkpoint(at.ended("void"))])
            raise

    async def _counted(self, held: Transactions, at: Resume) -> Resume:
        """Once the job's rows lie between what SOQL counted before and counts now. Raises Mismatch."""
        after = await plan.count(self._means.rest, self._object)
        if not at.least <= at.rows <= after.total:
            await held.commit([self._checkpoint(at.ended("void"))])
            raise Mismatch(f"{at.rows} rows, but SOQL counts {at.least} before and {after.total} after")
        at = at.ended("read").with_after(after.total)
        await held.commit([self._checkpoint(at)])
        return at

    async def _anti_join(self, held: Transactions, at: Resume) -> None:
        """Write what is gone, once the projector has applied the read. Raises Retryable, Unproven."""
        offsets = await held.commit([*self._mark(at, None)])
        version = versions.read_version(at.r0_ms, at.margin_ms)
        async with gone.shadow(self._means.dsn, self._object) as shadow:
            if not await shadow.applied(dict(enumerate(offsets)), min(_PROJECTOR_SECONDS, self._means.job_seconds)):
                raise Retryable("the projector has not applied the read yet")
            some = await shadow.unseen(version, "", gone.FEW + 1)
            if len(some) <= gone.FEW:
                await self._confirmed(held, at, some)
                return
            await self._believable(shadow, version)
            await gone.each_page(shadow, version, lambda ids: self._absent(held, at, ids))

    async def _confirmed(self, held: Transactions, at: Resume, ids: Sequence[str]) -> None:
        """Each one is asked for once more, which costs one call for 200."""
        asked = confirming.by_id(
            self._means,
            self._mapping,
            ids,
            call_class=CallClass.BACKFILL,
            origin="backfill",
            job_id=at.job_id,
        )
        found = [change async for change in asked]
        there = sum(change.kind == "snapshot" for change in found)
        if there:
            log.warning("a full read did not show what exists", extra={"action": "unseen_exist", "records": there})
        await self._write(held, found)
        self._gone = len(found) - there

    async def _believable(self, shadow: gone.Shadow, version: versions.Version) -> None:
        """Raises Unproven for very many at once, unless they are wished for."""
        alive, unseen = await shadow.alive(version)
        if unseen > max(_MANY_RECORDS, alive * _MANY_SHARE) and not self._wish.many:
            raise Unproven(f"{unseen} of {alive} records would be gone; if no permission hides them, say --many")

    async def _absent(self, held: Transactions, at: Resume, ids: Sequence[str]) -> None:
        """By version alone: the join decides where something newer is known."""
        await self._write(
            held,
            [
                changes.absent(
                    self._object,
                    record_id,
                    r0_ms=at.r0_ms,
                    origin="backfill",
                    margin_ms=at.margin_ms,
                    job_id=at.job_id,
                )
                for record_id in ids
            ],
        )
        self._gone += len(ids)

    async def _write(self, held: Transactions, found: Sequence[RecordChange]) -> None:
        now = self._means.clock.now()
        for some in copying.chunks([outgoing.change(change, now) for change in found]):
            await held.commit(some)

    async def _ended(self, held: Transactions, at: Resume) -> Outcome:
        """The end in the log: from here on the object is covered."""
        closed = await self._closed(at)
        await held.commit([*self._mark(at, "end", closed), self._checkpoint(at.ended("complete"))])
        return Outcome(
            object=self._object,
            state="COMPLETE",
            rows=at.rows,
            absent=self._gone,
            job_id=at.job_id,
            counted=(at.least, at.after),
            closed=closed,
        )

    async def _closed(self, at: Resume) -> tuple[str, ...]:
        """Asked at the end: by then the projector has seen what was opened just before the start. Without an anti-join
        only a first start's: any other hole may have swallowed a deletion that no row of the read shows."""
        opened = await holes.open_holes(self._means.dsn, self._object)
        found = {hole.id for hole in opened if holes.closable(hole, at.r0_ms, at.margin_ms)}
        if not self._wish.anti_join:
            found = {hole_id for hole_id in found if hole_id.startswith(openings.FIRST)}
        return tuple(sorted(found | set(at.closes)))

    def _mark(self, at: Resume, phase: copying.Phase | None, closes: tuple[str, ...] = ()) -> Iterator[Record]:
        """A full read proves commits up to r0 - M, and only at its end. Without a phase: all rows lie before this."""
        end = phase == "end"
        mark = Watermark(
            object=self._object,
            basis="full",
            origin="backfill",
            phase=phase,
            job_id=at.job_id,
            covered_until=versions.moment(versions.proven_until(at.r0_ms, at.margin_ms)) if end else None,
            counted=at.rows if end else None,
            closes=closes,
        )
        return outgoing.watermark(mark, self._means.clock.now())

    def _checkpoint(self, at: Resume) -> Record:
        now = self._means.clock.now()
        name = job_name(self._object)
        if at.state == "complete":
            self._kept |= {"rate": self._rate, "proven_r0_ms": at.r0_ms, "margin_ms": at.margin_ms}
            self._kept |= {"done_ms": versions.millis(now)}
            self._kept |= {"anti_join_ms": versions.millis(now)} if self._wish.anti_join else {}
        return outgoing.checkpoint(at.checkpoint(name, now, self._kept), topics.JOBS_PARTITION, now)
