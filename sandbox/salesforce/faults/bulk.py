"""Faults of Bulk 2.0 query jobs.  Their subject is the object the job reads."""

from typing import Annotated, Literal, TypeAlias

import msgspec

from sandbox.salesforce.faults.fault import Fault, Positive, Seconds

_Difference: TypeAlias = Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]


class Slow(Fault, frozen=True, tag="bulk.slow"):
    """A job stays longer in its states; without a number for one, the org's own time."""

    upload_complete: Seconds | None = None
    in_progress: Seconds | None = None


class Fail(Fault, frozen=True, tag="bulk.fail"):
    """A job ends Failed in place of JobComplete."""

    message: str = "InternalServerError: Retried more than 15 times: use a more selective filter"


class Abort(Fault, frozen=True, tag="bulk.abort"):
    """Somebody else aborts a job that runs."""


class Lost(Fault, frozen=True, tag="bulk.lost"):
    """A job is gone with its results: the call that meets this and all later ones get 404.

    when: a running job, a complete one, or any
    """

    when: Literal["any", "running", "complete"] = "any"


class PageRows(Fault, frozen=True, tag="bulk.page_rows"):
    """A result page holds at most so many rows, whatever maxRecords says."""

    rows: Positive = 100


class Count(Fault, frozen=True, tag="bulk.count"):
    """A number of records is told wrong.

    of: Sforce-NumberOfRecords of a page, or numberRecordsProcessed of the job
    by: what is added to the right one
    """

    of: Literal["page", "job"] = "page"
    by: _Difference = 1


class ShortPage(Fault, frozen=True, tag="bulk.short_page"):
    """A page lacks its last rows; its headers are those of the whole page."""

    rows: Positive = 1


class NoGzip(Fault, frozen=True, tag="bulk.no_gzip"):
    """A page comes uncompressed although gzip was asked for."""


class LostLocator(Fault, frozen=True, tag="bulk.lost_locator"):
    """A locator that was given out is refused."""


BulkFault: TypeAlias = Slow | Fail | Abort | Lost | PageRows | Count | ShortPage | NoGzip | LostLocator
