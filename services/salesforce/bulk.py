"""Bulk API 2.0 query jobs: resumable by job id and locator, a page at a time, every count checked.

A page is loaded into a file before its first row is handed out, so a slow reader holds no call open, a page that
breaks off is loaded again, and its number of rows is known to be right. While a page is read the next ones are loaded.
"""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from services.kernel.retry import Backoff
from services.salesforce import pagefile, resultpages
from services.salesforce.calls import CallClass
from services.salesforce.errors import BadRequest, Incomplete, JobFailed, NotFound, Unavailable
from services.salesforce.pagefile import PageFile
from services.salesforce.pagefile import Row as Row
from services.salesforce.pagefile import Values as Values
from services.salesforce.patience import patiently, pause
from services.salesforce.queue import SalesforceRequestQueue
from services.salesforce.resultpages import Listing
from services.salesforce.session import Session
from services.salesforce.starts import Starts

State = Literal["UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted"]

_FIELD_LIMIT = 2**31 - 1
"""A long text area holds 131,072 characters, which is just what csv allows by default."""
_LOADS = 3
"""Loads of a page whose number of rows is wrong, before it is given up."""
_AHEAD = 2
"""Pages loaded beside the one that is read: enough that a reader never waits, and few enough for any memory."""


@dataclass(frozen=True, slots=True)
class Job:
    """A query job. Its id and r0_ms are what a resume needs.

    r0_ms: lower bound of when its create call began, by the org's clock: the r0 of every record of the job
    records: numberRecordsProcessed, known when it is complete
    """

    id: str
    r0_ms: int
    state: State
    records: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a job's result; its number of rows has been checked.

    locator: of this page, None for the first; next_locator: None after the last
    count: rows of this page; counted: rows of the job up to and with this page
    names: of the columns, as they were selected
    values: of each row, to be read once, lazily, before the next page is asked for; Incomplete where a row is cut
    """

    locator: str | None
    next_locator: str | None
    count: int
    counted: int
    names: list[str]
    values: Iterator[Values]

    @property
    def rows(self) -> Iterator[Row]:
        """`values` by name, an empty one as null."""
        return ({n: v or None for n, v in zip(self.names, line, strict=True)} for line in self.values)


class Bulk:
    def __init__(self, queue: SalesforceRequestQueue, starts: Starts) -> None:
        self._queue = queue
        self._starts = starts
        csv.field_size_limit(_FIELD_LIMIT)

    async def create(self, soql: str, *, call_class: CallClass, deadline: float, include_deleted: bool = True) -> Job:
        """Start a query job; queryAll unless told otherwise."""
        wanted = {
            "operation": "queryAll" if include_deleted else "query",
            "query": soql,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }

        def request(session: Session) -> tuple[Any, int]:
            return session.salesforce.restful("jobs/query", method="POST", json=wanted), session.began_ms

        body, began_ms = await self._queue.call(call_class, "bulk_create", deadline, request)
        return _job(body, self._starts.take(began_ms))

    async def job(self, job_id: str, r0_ms: int, *, call_class: CallClass, deadline: float) -> Job:
        """How far a job is. NotFound when Salesforce has forgotten it (7 days)."""

        def request(session: Session) -> Any:
            return session.salesforce.restful(f"jobs/query/{job_id}")

        return _job(await self._queue.call(call_class, "bulk_job", deadline, request), r0_ms)

    async def finished(self, job: Job, *, call_class: CallClass, deadline: float) -> Job:
        """Wait until a job is complete, through outages. Raises JobFailed; DeadlinePassed with the job left running."""
        pauses = Backoff(first=0.2, longest=10.0)
        while job.state in ("UploadComplete", "InProgress"):
            await pause(pauses.next(), deadline)
            ask = partial(self.job, job.id, job.r0_ms, call_class=call_class, deadline=deadline)
            job = await patiently(deadline, ask)
        if job.state != "JobComplete":
            raise JobFailed(f"job {job.id} is {job.state}: {job.error or 'no reason given'}")
        return job

    async def pages(
        self,
        job: Job,
        *,
        call_class: CallClass,
        deadline: float,
        locator: str | None = None,
        counted: int = 0,
        page_records: int = 10_000,
    ) -> AsyncGenerator[Page, None]:
        """Pages of a complete job from `locator` on, of which `counted` rows lie before it.

        Waits through outages. Raises Incomplete when a page or, at the end, the job has another number of rows
        than Salesforce says; what the budget refuses for good is raised at once.
        """
        if job.state != "JobComplete":
            raise ValueError(f"job {job.id} has no result: it is {job.state}")
        load = partial(self._page, job.id, page_records, call_class, deadline)
        listing = partial(self._listing, job.id, page_records, call_class, deadline)
        several = job.records - counted > (_AHEAD + 1) * page_records
        ordered = resultpages.in_order(load, listing, first=locator, ahead=_AHEAD, listed=several)
        async with aclosing(ordered):
            async for place, loaded in ordered:
                counted += loaded.count
                with loaded.file:
                    values = pagefile.values(loaded.file)
                    yield Page(place, loaded.next_locator, loaded.count, counted, next(values), values)
        if counted != job.records:
            raise Incomplete(f"job {job.id} says {job.records} records, its pages hold {counted}")

    async def _page(
        self, job_id: str, most: int, call_class: CallClass, deadline: float, locator: str | None
    ) -> PageFile:
        return await patiently(deadline, partial(self._load, job_id, locator, most, call_class, deadline))

    async def _listing(
        self, job_id: str, most: int, call_class: CallClass, deadline: float, locator: str | None
    ) -> Listing | None:
        """None where the resource does not exist or refuses: the pages themselves will tell."""
        request = partial(resultpages.load, job_id=job_id, place=locator, most=most)
        try:
            return await patiently(deadline, partial(self._queue.call, call_class, "bulk_pages", deadline, request))
        except (BadRequest, NotFound):
            return None

    async def _load(
        self, job_id: str, locator: str | None, most: int, call_class: CallClass, deadline: float
    ) -> PageFile:
        """One page; a page with a wrong number of rows is loaded again before it is believed."""
        request = partial(pagefile.load, job_id=job_id, locator=locator, most=most)
        for _ in range(_LOADS - 1):
            try:
                return await self._queue.call(call_class, "bulk_results", deadline, request)
            except Incomplete:
                continue
        return await self._queue.call(call_class, "bulk_results", deadline, request)

    async def abort(self, job_id: str, *, call_class: CallClass, deadline: float) -> None:
        """Stop a running job; a finished or forgotten one is left as it is."""

        def request(session: Session) -> None:
            session.salesforce.restful(f"jobs/query/{job_id}", method="PATCH", json={"state": "Aborted"})

        try:
            await self._queue.call(call_class, "bulk_abort", deadline, request)
        except (BadRequest, NotFound):
            return

    async def delete(self, job_id: str, *, call_class: CallClass, deadline: float) -> None:
        """Remove a job and its result; a forgotten one counts as removed."""

        def request(session: Session) -> None:
            session.salesforce.restful(f"jobs/query/{job_id}", method="DELETE")

        try:
            await self._queue.call(call_class, "bulk_delete", deadline, request)
        except NotFound:
            return


def _job(body: Any, r0_ms: int) -> Job:
    if body["state"] not in get_args(State):
        raise Unavailable(f"a job in the unknown state {body['state']!r}")
    return Job(
        id=body["id"],
        r0_ms=r0_ms,
        state=body["state"],
        records=int(body.get("numberRecordsProcessed") or 0),
        error=body.get("errorMessage"),
    )
