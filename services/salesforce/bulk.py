"""Bulk API 2.0 query jobs: resumable by job id and locator, a page at a time, every count checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal

from services.salesforce.calls import CallClass
from services.salesforce.queue import SalesforceRequestQueue

Row = dict[str, str | None]
"""Field to text; an empty value is null."""


@dataclass(frozen=True, slots=True)
class Job:
    """A query job. Its id and r0_ms are what a resume needs.

    r0_ms: lower bound of when its create call began, by the org's clock: the r0 of every record of the job
    records: numberRecordsProcessed, known when it is complete
    """

    id: str
    r0_ms: int
    state: Literal["UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted"]
    records: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a job's result; its number of rows has been checked.

    locator: of this page, None for the first; next_locator: None after the last
    count: rows of this page; counted: rows of the job up to and with this page
    rows: to be read once, lazily, before the next page is asked for
    """

    locator: str | None
    next_locator: str | None
    count: int
    counted: int
    rows: Iterator[Row]


class Bulk:
    def __init__(self, queue: SalesforceRequestQueue) -> None:
        self._queue = queue

    async def create(self, soql: str, *, call_class: CallClass, deadline: float, include_deleted: bool = True) -> Job:
        """Start a query job; queryAll unless told otherwise."""
        raise NotImplementedError

    async def job(self, job_id: str, r0_ms: int, *, call_class: CallClass, deadline: float) -> Job:
        """How far a job is. NotFound when Salesforce has forgotten it (7 days)."""
        raise NotImplementedError

    async def finished(self, job: Job, *, call_class: CallClass, deadline: float) -> Job:
        """Wait until a job is complete. Raises JobFailed; DeadlinePassed with the job left running."""
        raise NotImplementedError

    def pages(
        self,
        job: Job,
        *,
        call_class: CallClass,
        deadline: float,
        locator: str | None = None,
        counted: int = 0,
        page_records: int = 10_000,
    ) -> AsyncIterator[Page]:
        """Pages of a complete job from `locator` on, of which `counted` rows lie before it.

        Raises Incomplete when a page or, at the end, the job has another number of rows than Salesforce says.
        """
        raise NotImplementedError

    async def abort(self, job_id: str, *, call_class: CallClass, deadline: float) -> None:
        """Stop a running job; a finished or forgotten one is left as it is."""
        raise NotImplementedError

    async def delete(self, job_id: str, *, call_class: CallClass, deadline: float) -> None:
        """Remove a job and its result; a forgotten one counts as removed."""
        raise NotImplementedError
