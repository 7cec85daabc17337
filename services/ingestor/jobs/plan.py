"""What a full read will cost, before it costs anything but the counting, and what today's allowance says to that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.salesforce.calls import CallClass, within
from services.salesforce.rest import Count, Rest

PAGE_RECORDS = 20_000
"""Rows of a page, each page one call; a page is loaded into a file, so memory does not care."""
RATE = 15_000.0
"""Rows a second, until a run has measured its own: what one core does with four to eight fields a row."""
COUNT_SECONDS = 120.0
_POLLS = 6
"""Looks at a job until it is complete, with the pauses growing; a large one takes more."""
_COUNTS = 2
_LISTED = 5
"""Pages that one listing names."""
_UNLISTED = 3
"""Up to so many pages tell each other where they are."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One object's share. calls: API calls, roughly; jobs: Bulk query jobs, of 10,000 a day; seconds: to read and
    write the rows, beside what Salesforce takes to finish the job."""

    object: str
    rows: int
    jobs: int
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What Salesforce says is left of 24 hours. usable: calls before this class stops; None where it does not tell."""

    calls_left: int
    calls_most: int
    usable: int
    jobs_left: int | None


async def count(rest: Rest, object_name: str) -> Count:
    """Records that Salesforce has of an object, deleted and archived ones included. One call."""
    soql = f"SELECT COUNT() FROM {object_name}"  # noqa: S608 - a name of the mapping file
    return await rest.count(soql, call_class=CallClass.BACKFILL, deadline=within(COUNT_SECONDS), include_deleted=True)


async def planned(rest: Rest, objects: Sequence[str], rates: Mapping[str, float] | None = None) -> list[Planned]:
    """Counts each object; raises the door's errors."""
    known = rates or {}
    return [share(name, (await count(rest, name)).total, known.get(name, RATE)) for name in objects]


def share(object_name: str, rows: int, rate: float = RATE) -> Planned:
    """create, polls, pages, listings of pages, and both counts."""
    pages = max(1, math.ceil(rows / PAGE_RECORDS))
    listings = math.ceil(pages / _LISTED) if pages > _UNLISTED else 0
    calls = 1 + _POLLS + pages + listings + _COUNTS
    return Planned(object_name, rows, jobs=1, calls=calls, seconds=round(rows / rate, 1))


async def allowance(rest: Rest, floor: float) -> Allowance:
    """One call. floor: share of the day's calls that the class leaves untouched. Raises the door's errors."""
    return of_limits(await rest.limits(call_class=CallClass.BACKFILL, deadline=within(COUNT_SECONDS)), floor)


def of_limits(limits: Mapping[str, Any], floor: float) -> Allowance:
    calls = limits["DailyApiRequests"]
    left, most = int(calls["Remaining"]), int(calls["Max"])
    jobs = limits.get("DailyBulkV2QueryJobs")
    return Allowance(
        calls_left=left,
        calls_most=most,
        usable=max(0, left - math.ceil(most * floor)),
        jobs_left=None if jobs is None else int(jobs["Remaining"]),
    )


def fits(shares: Sequence[Planned], left: Allowance) -> bool:
    """Whether today's allowance is enough for all of them."""
    jobs = sum(each.jobs for each in shares)
    return sum(each.calls for each in shares) <= left.usable and (left.jobs_left is None or jobs <= left.jobs_left)
