"""What was changed or deleted since the last proof, whatever became of its events: a few calls where little was.

`updated` is asked first and the read begins at least M later, with no upper bound, so a record that is touched again
meanwhile does not drop out (C13). What was deleted is confirmed by id. Only a transaction that ran while `updated` was
asked can still hold back an older stamp, and the next delta starts at that one's start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from schemas import events, topics, versions
from schemas.events import RecordChange, Watermark
from schemas.join import ALIVE
from schemas.mapping import ObjectMapping
from services.ingestor import checkpoints, outgoing, transactions
from services.ingestor.jobs import confirming, copying, holes, known, lives, resume, window
from services.ingestor.jobs.copying import Copied, Copying
from services.ingestor.jobs.holes import Hole
from services.ingestor.jobs.lives import Mismatch, Unproven
from services.ingestor.jobs.means import Means, Outcome, Watch, Why
from services.ingestor.jobs.resume import Resume
from services.ingestor.jobs.window import Window
from services.ingestor.outgoing import Record
from services.ingestor.transactions import Transactions
from services.salesforce import soql
from services.salesforce.bulk import Job
from services.salesforce.calls import CallClass, within
from services.salesforce.errors import BadRequest, Incomplete, JobFailed, NotFound
from services.salesforce.rest import Count, Replicated

log = logging.getLogger(__name__)

CLASS = CallClass.DELTA
MOST_BY_REST = 2_000
"""Records read by REST, which is one page of it; more cost less by Bulk."""
_KEPT = ("next_ms", "done_ms")
"""Of the newest complete delta: where the next one starts, and when it was; kept while that one is under way."""
_CALL_SECONDS = 120.0
MOST_CONFIRMED = 10_000
"""Records asked for by id, 200 a call; past it a full read is the cheaper way."""
_MINUTE_MS = 60_000
_MINUTES_WAITED = 2
"""Times that the minute to which `deleted` is cut is waited for, where a hole's end lies in it."""


def job_name(object_name: str) -> str:
    """Key of a delta's checkpoints, and the token that resumes it."""
    return f"delta:{object_name}"


@dataclass(frozen=True, slots=True)
class Planned:
    """One object's delta. calls: API calls, roughly."""

    object: str
    since: str
    rows: int
    jobs: int
    calls: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked before the read: since_ms is the window's start."""

    since_ms: int
    updated: Replicated
    counted: Count


async def run(means: Means, mapping: ObjectMapping, watch: Watch, *, most_by_rest: int = MOST_BY_REST) -> Outcome:
    """One delta of an object, or the rest of one that was interrupted."""
    return await lives.run(Delta(means, mapping, watch, most_by_rest))


async def planned(means: Means, mapping: ObjectMapping) -> Planned:
    """One call. Raises Unproven where a full read has to come first, and the door's errors."""
    delta = Delta(means, mapping, lambda name, rows, total: None)
    stored = await checkpoints.read(means.kafka, topics.JOBS_PARTITION, job_name(mapping.name))
    found, counted = await delta.window(stored)
    by_bulk = counted.total > MOST_BY_REST
    calls = 4 + (8 if by_bulk else 0)
    return Planned(mapping.name, events.stamp(versions.moment(found.since_ms)), counted.total, int(by_bulk), calls)


class Delta:
    """One object's delta in this process."""

    def __init__(self, means: Means, mapping: ObjectMapping, watch: Watch, most_by_rest: int = MOST_BY_REST) -> None:
        self._means = means
        self._mapping = mapping
        self._object = mapping.name
        self._watch = watch
        self._most_by_rest = most_by_rest
        self._rows = 0
        self._absent = 0
        self._candidates: set[str] = set()
        self._deletions: set[str] = set()
        self._next_ms = 0
        self._kept: dict[str, Any] = {}

    def partial(self, why: Why, reason: str) -> Outcome:
        return Outcome(
            object=self._object,
            state="PARTIAL",
            rows=self._rows,
            absent=self._absent,
            why=why,
            reason=reason,
            token=job_name(self._object),
        )

    async def live(self) -> Outcome:
        means, name = self._means, job_name(self._object)
        self._rows = self._absent = 0
        self._candidates, self._deletions = set(), set()
        async with transactions.opened(means.kafka, transactions.id_of(name)) as held:
            stored = await checkpoints.read(means.kafka, topics.JOBS_PARTITION, name)
            self._kept = {key: stored.job[key] for key in _KEPT if key in stored.job} if stored else {}
            at = await self._unfinished(stored)
            job = await self._resumed(at) if at else None
            if at is not None and job is not None:
                return await self._by_bulk(held, job, at)
            asked = await self._asked(stored)
            if max(len(asked.updated.ids), asked.counted.total) > self._most_by_rest:
                return await self._by_bulk(held, *await self._started(held, asked))
            return await self._by_rest(held, asked)

    async def _unfinished(self, stored: events.Checkpoint | None) -> Resume | None:
        """What an earlier run left, unless a full read has proven more since, or its rows are of another mapping."""
        at = resume.of(stored)
        if at is None or at.selected != resume.selection(self._mapping):
            return None
        full = await checkpoints.read(self._means.kafka, topics.JOBS_PARTITION, resume.job_name(self._object))
        proven = full is not None and int(full.job.get("proven_r0_ms", 0)) >= at.r0_ms
        return None if proven else at

    async def window(self, stored: events.Checkpoint | None) -> tuple[Window, Count]:
        """Since when to read, and how many records that is. One call. Raises Unproven."""
        name = resume.job_name(self._object)
        full = await checkpoints.read(self._means.kafka, topics.JOBS_PARTITION, name)
        opened = await holes.open_holes(self._means.dsn, self._object)
        start_ms = window.start_of(stored, full)
        # A first look, only to know what the org's clock says: no call is spent where nothing was proven yet.
        first = window.of(start_ms, (), start_ms or 0)
        since_ms = min([first.since_ms, *(window.since_of(hole) for hole in opened if window.fitting(hole))])
        counted = await self._count(since_ms)
        return window.of(start_ms, opened, counted.r0_ms), counted

    async def _asked(self, stored: events.Checkpoint | None) -> _Asked:
        """Asks `updated`, then waits for M."""
        found, counted = await self.window(stored)
        start, end = versions.moment(found.asked_ms), versions.moment(counted.r0_ms)
        try:
            updated = await self._means.rest.updated(
                self._object, start, end, call_class=CLASS, deadline=within(_CALL_SECONDS)
            )
        except BadRequest as error:
            raise Unproven(f"Salesforce does not tell what was changed, a full read has to: {error}") from error
        await asyncio.sleep(self._means.margin_ms / 1000)
        self._candidates = set(updated.ids)
        return _Asked(found.since_ms, updated, counted)

    async def _count(self, since_ms: int) -> Count:
        query = soql.count(self._object, _where(since_ms))
        return await self._means.rest.count(
            query, call_class=CLASS, deadline=within(_CALL_SECONDS), include_deleted=True
        )

    async def _by_rest(self, held: Transactions, asked: _Asked) -> Outcome:
        """Records, then what is gone, then the end; nothing of it claims anything before the end."""
        query = copying.select_rows(self._mapping, _where(asked.since_ms))
        read = await self._means.rest.query_all(query, call_class=CLASS, deadline=within(_CALL_SECONDS))
        if len(read.records) != read.total:
            raise Mismatch(f"the read tells of {read.total} records and has {len(read.records)}")
        job_id = f"rest:{read.r0_ms}"
        found = confirming.snapshots(self._means, self._mapping, read, origin="delta", job_id=job_id)
        for change in found:
            self._saw(change.record_id, change.fields.get(ALIVE) is True)
        await self._write(held, found)
        self._watch(self._object, self._rows, self._rows)
        covered_ms = versions.millis(asked.updated.covered)
        at = Resume(
            job_id=job_id,
            r0_ms=read.r0_ms,
            margin_ms=self._means.margin_ms,
            selected=resume.selection(self._mapping),
            least=read.total,
            since_ms=asked.since_ms,
            done=self._rows,
        )
        return await self._ended(held, at, covered_ms, counted=None)

    async def _started(self, held: Transactions, asked: _Asked) -> tuple[Job, Resume]:
        query = copying.select_rows(self._mapping, _where(asked.since_ms))
        job = await self._means.bulk.create(query, call_class=CLASS, deadline=within(_CALL_SECONDS))
        at = Resume(
            job_id=job.id,
            r0_ms=job.r0_ms,
            margin_ms=self._means.margin_ms,
            selected=resume.selection(self._mapping),
            least=asked.counted.total,
            since_ms=asked.since_ms,
            updated_ms=versions.millis(asked.updated.covered),
        )
        await held.commit([*self._mark(at, "start", None), self._checkpoint(at)])
        return job, at

    async def _resumed(self, at: Resume) -> Job | None:
        try:
            job = await self._means.bulk.job(at.job_id, at.r0_ms, call_class=CLASS, deadline=within(_CALL_SECONDS))
        except NotFound:
            return None
        return None if job.state in ("Failed", "Aborted") else job

    async def _by_bulk(self, held: Transactions, job: Job, at: Resume) -> Outcome:
        try:
            job = await self._means.bulk.finished(job, call_class=CLASS, deadline=within(self._means.job_seconds))
        except (JobFailed, NotFound):
            await held.commit([self._checkpoint(at.ended("void"))])
            raise
        of = Copied(
            mapping=self._mapping,
            origin="delta",
            call_class=CLASS,
            checkpoint=self._checkpoint,
            watch=self._copied,
            saw=self._saw,
        )
        copying_ = Copying(self._means, held, of, at)
        try:
            return await self._copied_and_ended(held, job, copying_)
        except (ValueError, Incomplete, Unproven):  # no other end comes of the same rows, or of the same window
            await held.commit([self._checkpoint(copying_.at.ended("void"))])
            raise

    async def _copied_and_ended(self, held: Transactions, job: Job, copying_: Copying) -> Outcome:
        at = await copying_.run(job)
        after = await self._count(at.since_ms or 0)
        if not at.least <= at.rows <= after.total:
            await held.commit([self._checkpoint(at.ended("void"))])
            raise Mismatch(f"{at.rows} rows, but SOQL counts {at.least} before and {after.total} after")
        return await self._ended(held, at, at.updated_ms or 0, counted=(at.least, after.total))

    def _saw(self, record_id: str, deleted: bool) -> None:
        self._candidates.discard(record_id)
        if deleted:
            self._deletions.add(record_id)

    def _copied(self, name: str, rows: int, total: int) -> None:
        self._rows = rows
        self._watch(name, rows, total)

    async def _ended(self, held: Transactions, at: Resume, updated_ms: int, counted: tuple[int, int] | None) -> Outcome:
        deleted = await self._deleted(at)
        await self._confirm(held, {*self._candidates, *deleted.ids} - self._deletions, at)
        deleted_ms = versions.millis(deleted.covered)
        covered_ms = min(at.r0_ms - at.margin_ms, deleted_ms)
        closed = await self._closed(at, covered_ms)
        self._next_ms = window.next_start(updated_ms, deleted_ms)
        await held.commit([*self._mark(at, "end", covered_ms, closed), self._checkpoint(at.ended("complete"))])
        return Outcome(
            object=self._object,
            state="COMPLETE",
            rows=self._rows,
            absent=self._absent,
            job_id=at.job_id,
            counted=counted,
            closed=closed,
        )

    async def _deleted(self, at: Resume) -> Replicated:
        """What was deleted up to the read's start; the minute in which it lies is waited for where a hole ends in it.

        Raises Unproven where Salesforce has forgotten a part of the window.
        """
        since_ms = at.since_ms or 0
        needed_ms = max((versions.millis(hole.until) for hole in await self._near(at) if hole.until), default=0)
        end_ms = at.r0_ms
        for again in range(_MINUTES_WAITED + 1):
            start = versions.moment(min(since_ms, end_ms - 2 * _MINUTE_MS))
            try:
                deleted = await self._means.rest.deleted(
                    self._object,
                    start,
                    versions.moment(end_ms),
                    call_class=CLASS,
                    deadline=within(_CALL_SECONDS),
                )
            except BadRequest as error:
                raise Unproven(f"Salesforce does not tell what was deleted, a full read has to: {error}") from error
            if deleted.earliest is not None and deleted.earliest > start:
                raise Unproven("Salesforce has forgotten a part of what was deleted: a full read has to come")
            if versions.millis(deleted.covered) >= needed_ms or again == _MINUTES_WAITED:
                break
            pause_ms = _MINUTE_MS - deleted.r0_ms % _MINUTE_MS + 1_000
            await asyncio.sleep(pause_ms / 1000)
            end_ms = deleted.r0_ms + pause_ms
        return deleted

    async def _near(self, at: Resume) -> list[Hole]:
        """Holes that the read itself proves, whatever `deleted` covers."""
        opened = await holes.open_holes(self._means.dsn, self._object)
        return [hole for hole in opened if self._closes(hole, at, at.r0_ms)]

    async def _closed(self, at: Resume, covered_ms: int) -> tuple[str, ...]:
        """Holes that lie inside what is proven by the read and by `deleted`."""
        opened = await holes.open_holes(self._means.dsn, self._object)
        proven_r0_ms = covered_ms + at.margin_ms
        return tuple(sorted(hole.id for hole in opened if self._closes(hole, at, proven_r0_ms)))

    def _closes(self, hole: Hole, at: Resume, r0_ms: int) -> bool:
        inside = window.fitting(hole) and window.since_of(hole) >= (at.since_ms or 0)
        return inside and holes.closable(hole, r0_ms, at.margin_ms)

    async def _confirm(self, held: Transactions, ids: Collection[str], at: Resume) -> None:
        """What the read did not show, one read by id for 200: there as it is, or absent. Raises Unproven for many."""
        if len(ids) > MOST_CONFIRMED:
            raise Unproven(f"{len(ids)} records would have to be asked for by id: a full read has to come instead")
        asked = confirming.by_id(
            self._means, self._mapping, sorted(ids), call_class=CLASS, origin="delta", job_id=at.job_id
        )
        found = [change async for change in asked]
        self._absent = sum(change.kind == "absent" for change in found)
        await self._write(held, found)

    async def _write(self, held: Transactions, found: Sequence[RecordChange]) -> None:
        now = self._means.clock.now()
        for begin in range(0, len(found), copying.MOST_RECORDS):
            some = found[begin : begin + copying.MOST_RECORDS]
            lost = await known.lost(self._means, self._object, [each for each in some if each.kind == "snapshot"])
            records = [outgoing.change(each, now) for each in some]
            await held.commit([*records, *(outgoing.status(each, now) for each in lost)])
            self._rows += len(some)

    def _mark(
        self, at: Resume, phase: copying.Phase, covered_ms: int | None, closes: tuple[str, ...] = ()
    ) -> Iterator[Record]:
        end = phase == "end"
        if covered_ms is not None:
            covered_ms = min(covered_ms, versions.proven_until(at.r0_ms, at.margin_ms))
        mark = Watermark(
            object=self._object,
            basis="delta",
            origin="delta",
            phase=phase,
            job_id=at.job_id,
            covered_from=versions.moment(at.since_ms or 0) if end else None,
            covered_until=None if covered_ms is None else versions.moment(covered_ms),
            counted=self._rows if end else None,
            closes=closes,
        )
        return outgoing.watermark(mark, self._means.clock.now())

    def _checkpoint(self, at: Resume) -> Record:
        now = self._means.clock.now()
        if at.state == "complete":
            self._kept |= {"next_ms": self._next_ms, "done_ms": versions.millis(now)}
        made = at.checkpoint(job_name(self._object), now, self._kept)
        return outgoing.checkpoint(made, topics.JOBS_PARTITION, now)


def _where(since_ms: int) -> str:
    return f"SystemModstamp >= {events.stamp(versions.moment(since_ms))}"
