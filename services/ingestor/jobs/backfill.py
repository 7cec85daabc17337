"""A full read of one object into the log, resumable row by row, complete only when every count agrees.

Its own transactional id fences another process that runs the same job; position and rows are one transaction, so
after a kill it goes on at the very row. It ends COMPLETE, or PARTIAL with what resumes it, never falsely complete.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from aiokafka.errors import KafkaError

from schemas import topics, versions
from schemas.events import RecordChange, Watermark
from schemas.mapping import ObjectMapping, StatusMapping
from services.ingestor import checkpoints, openings, outgoing, reading, transactions
from services.ingestor.jobs import holes, known, plan, resume
from services.ingestor.jobs.resume import Resume, job_name
from services.ingestor.outgoing import Record
from services.ingestor.transactions import Abandoned, Fenced, Transactions
from services.kernel.clock import Clock
from services.kernel.errors import Retryable
from services.kernel.retry import Backoff
from services.kernel.settings import KafkaSettings
from services.salesforce import canonical, changes, observed
from services.salesforce.bulk import Bulk, Job, Page, Row
from services.salesforce.calls import CallClass, within
from services.salesforce.errors import Incomplete, JobFailed, NotFound, SalesforceError
from services.salesforce.rest import Rest

log = logging.getLogger(__name__)

MOST_RECORDS = 5_000
MOST_SECONDS = 0.5
"""Of one transaction: while it is open, change events committed after it on its partitions are unseen."""
_LEAST_RECORDS = 100
_CALL_SECONDS = 120.0
_LIVES = 5
"""Times that a run begins anew when a transaction's outcome is not known, before it gives up."""
_YIELD_ROWS = 500
"""Rows built before others on the same loop have a turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a backfill works with.

    dsn: empty where there is no shadow to compare with
    job_seconds: longest wait for Salesforce to finish a job and for its pages; margin_ms: M
    """

    kafka: KafkaSettings
    rest: Rest
    bulk: Bulk
    dsn: str
    statuses: StatusMapping
    margin_ms: int
    job_seconds: float
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a backfill ended. rows: in the log; counted: by SOQL before and after; token: resumes it when PARTIAL."""

    object: str
    state: Literal["COMPLETE", "PARTIAL"]
    rows: int = 0
    job_id: str | None = None
    counted: tuple[int, int] | None = None
    closed: tuple[str, ...] = ()
    reason: str | None = None
    token: str | None = None


Watch = Callable[[str, int, int], None]
"""Told object, rows in the log, and rows in all, after each transaction."""


class Mismatch(SalesforceError):
    """The job's rows are not what SOQL counts before and after it."""


async def run(means: Means, mapping: ObjectMapping, watch: Watch, *, fresh: bool = False) -> Outcome:
    """Go on with the object's unfinished backfill, or start one; `fresh` starts one in any case."""
    backfill = Backfill(means, mapping, watch, fresh=fresh)
    backoff = Backoff(first=0.5, longest=5.0)
    for _ in range(_LIVES):
        try:
            return await backfill.live()
        except Fenced:
            return backfill.partial("another process runs this backfill")
        except (Abandoned, KafkaError) as error:
            reason = str(error)
            log.warning("backfill begins anew", extra={"action": "backfill_again", "why": reason})
            await asyncio.sleep(backoff.next())
        except ValueError as error:  # a field that does not fit the mapping; the sentence without the value
            return backfill.partial(str(error).partition(": ")[0])
        except Retryable as error:
            return backfill.partial(str(error))
        except SalesforceError as error:
            return backfill.partial(f"{type(error).__name__}: {error}")
    return backfill.partial(f"the log does not take it: {reason}")


class Backfill:
    """One object's backfill in this process."""

    def __init__(self, means: Means, mapping: ObjectMapping, watch: Watch, *, fresh: bool) -> None:
        self._means = means
        self._mapping = mapping
        self._object = mapping.name
        self._watch = watch
        self._fresh = fresh
        self._at: Resume | None = None
        self._size = MOST_RECORDS

    def partial(self, reason: str) -> Outcome:
        at = self._at
        return Outcome(
            object=self._object,
            state="PARTIAL",
            rows=at.rows if at else 0,
            job_id=at.job_id if at else None,
            reason=reason,
            token=job_name(self._object),
        )

    async def live(self) -> Outcome:
        """From taking the transactional id to the end. Raises Abandoned, SalesforceError, ValueError."""
        means = self._means
        async with transactions.opened(means.kafka, transactions.id_of(job_name(self._object))) as held:
            stored = await checkpoints.read(means.kafka, topics.JOBS_PARTITION, job_name(self._object))
            unfinished = None if self._fresh else resume.of(stored)
            job = await self._resumed(unfinished) if unfinished else None
            at = unfinished if unfinished and job else None
            if at is None or job is None:
                job, at = await self._started(held)
            self._at, self._fresh = at, False
            at = await self._rows(held, await self._finished(held, job, at), at)
            return await self._ended(held, at)

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
        soql = f"SELECT {', '.join(self._mapping.select)} FROM {self._object}"  # noqa: S608 - names of the mapping file
        job = await means.bulk.create(soql, call_class=CallClass.BACKFILL, deadline=within(_CALL_SECONDS))
        at = Resume(job_id=job.id, r0_ms=job.r0_ms, least=counted.total, closes=closes)
        await held.commit([*self._mark(at, "start"), self._checkpoint(at)])
        return job, at

    async def _first_hole(self) -> tuple[str, ...]:
        """The hole of the stream's first start, when that lies behind us: known from the log, not only by Postgres."""
        topic = next((name for name in topics.SALESFORCE_TOPICS if reading.object_of(name) == self._object), None)
        if topic is None:
            return ()
        begun = await checkpoints.read(self._means.kafka, topics.checkpoint_partition(topic), topic)
        return () if begun is None else (openings.first_hole_id(topic),)

    async def _finished(self, held: Transactions, job: Job, at: Resume) -> Job:
        try:
            return await self._means.bulk.finished(
                job, call_class=CallClass.BACKFILL, deadline=within(self._means.job_seconds)
            )
        except (JobFailed, NotFound):
            await held.commit([self._checkpoint(at.ended("void"))])
            raise

    async def _rows(self, held: Transactions, job: Job, at: Resume) -> Resume:
        """Every page into the log, from where `at` stands. Raises Incomplete where the counts of the job disagree."""
        self._watch(self._object, at.rows, job.records)
        pages = self._means.bulk.pages(
            job,
            call_class=CallClass.BACKFILL,
            deadline=within(self._means.job_seconds),
            locator=at.locator,
            counted=at.before,
            page_records=plan.PAGE_RECORDS,
        )
        async for page in pages:
            at = await self._page(held, page, at, job.records)
        if at.rows != job.records:
            raise Incomplete(f"job {job.id} says {job.records} records, {at.rows} are in the log")
        return at

    async def _page(self, held: Transactions, page: Page, at: Resume, total: int) -> Resume:
        rows = islice(page.rows, at.done, None)
        while at.done < page.count:
            chunk = await self._chunk(rows, at)
            if not chunk:
                raise Incomplete(f"a page of {page.count} rows ended after {at.done}")
            records = await self._records(chunk)
            began = self._means.clock.monotonic()
            at = replace(at, done=at.done + len(chunk))
            await held.commit([*records, self._checkpoint(at)])
            self._at = at
            self._size = next_size(self._size, self._means.clock.monotonic() - began)
            self._watch(self._object, at.rows, total)
        return replace(at, locator=page.next_locator, before=page.counted, done=0) if page.next_locator else at

    async def _chunk(self, rows: Iterator[Row], at: Resume) -> list[RecordChange]:
        """Up to one transaction's worth of snapshots, built before it is begun."""
        built: list[RecordChange] = []
        for row in islice(rows, self._size):
            built.append(self._snapshot(row, at))
            if len(built) % _YIELD_ROWS == 0:
                await asyncio.sleep(0)
        return built

    async def _records(self, chunk: Sequence[RecordChange]) -> list[Record]:
        """The snapshots as the log takes them, and statuses of orders whose events were lost."""
        now = self._means.clock.now()
        built: list[Record] = []
        for change in chunk:
            built.append(outgoing.change(change, now))
            if len(built) % _YIELD_ROWS == 0:
                await asyncio.sleep(0)
        if self._object == topics.OBJECT_OF[topics.ORDER.name] and self._means.dsn:
            stored = await known.statuses(self._means.dsn, [change.record_id for change in chunk])
            built += [outgoing.status(each, now) for each in observed.statuses(self._means.statuses, chunk, stored)]
        return built

    def _snapshot(self, row: Row, at: Resume) -> RecordChange:
        return changes.snapshot(
            self._mapping,
            canonical.from_csv(self._mapping, row),
            r0_ms=at.r0_ms,
            origin="backfill",
            margin_ms=self._means.margin_ms,
            job_id=at.job_id,
        )

    async def _ended(self, held: Transactions, at: Resume) -> Outcome:
        """The end in the log, once the job's rows lie between what SOQL counted before and counts now."""
        after = await plan.count(self._means.rest, self._object)
        if not at.least <= at.rows <= after.total:
            await held.commit([self._checkpoint(at.ended("void"))])
            raise Mismatch(f"{at.rows} rows, but SOQL counts {at.least} before and {after.total} after")
        closed = await self._closed(at)
        await held.commit([*self._mark(at, "end", closed), self._checkpoint(at.ended("complete"))])
        return Outcome(
            object=self._object,
            state="COMPLETE",
            rows=at.rows,
            job_id=at.job_id,
            counted=(at.least, after.total),
            closed=closed,
        )

    async def _closed(self, at: Resume) -> tuple[str, ...]:
        """Asked at the end: by then the projector has seen what was opened just before the start."""
        opened = await holes.open_holes(self._means.dsn, self._object)
        found = {hole.id for hole in opened if holes.closable(hole, at.r0_ms, self._means.margin_ms)}
        return tuple(sorted(found | set(at.closes)))

    def _mark(self, at: Resume, phase: Literal["start", "end"], closes: tuple[str, ...] = ()) -> Iterator[Record]:
        """A full read proves commits up to r0 - M, and only at its end."""
        end = phase == "end"
        mark = Watermark(
            object=self._object,
            basis="full",
            origin="backfill",
            phase=phase,
            job_id=at.job_id,
            covered_until=versions.moment(at.r0_ms - self._means.margin_ms) if end else None,
            counted=at.rows if end else None,
            closes=closes,
        )
        return outgoing.watermark(mark, self._means.clock.now())

    def _checkpoint(self, at: Resume) -> Record:
        now = self._means.clock.now()
        return outgoing.checkpoint(at.checkpoint(self._object, now), topics.JOBS_PARTITION, now)


def next_size(size: int, seconds: float) -> int:
    """Records of the next transaction, after one of `size` that was open for so long."""
    if seconds <= MOST_SECONDS:
        return min(MOST_RECORDS, size * 2)
    return max(_LEAST_RECORDS, int(size * MOST_SECONDS / seconds))
