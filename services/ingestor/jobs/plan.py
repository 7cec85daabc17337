"""What a backfill will cost, before it costs anything but the counting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.salesforce.calls import CallClass, within
from services.salesforce.rest import Count, Rest

PAGE_RECORDS = 10_000
"""Rows of a page, each page one call; a page is loaded into a file, so memory does not care."""
COUNT_SECONDS = 120.0
_POLLS = 6
"""Looks at a job until it is complete, with the pauses growing; a large one takes more."""
_COUNTS = 2


@dataclass(frozen=True, slots=True)
class Planned:
    """One object's share. calls: API calls, roughly; jobs: Bulk query jobs, of 10,000 a day."""

    object: str
    rows: int
    jobs: int
    calls: int


async def count(rest: Rest, object_name: str) -> Count:
    """Records that Salesforce has of an object, deleted and archived ones included. One call."""
    soql = f"SELECT COUNT() FROM {object_name}"  # noqa: S608 - a name of the mapping file
    return await rest.count(soql, call_class=CallClass.BACKFILL, deadline=within(COUNT_SECONDS), include_deleted=True)


async def planned(rest: Rest, objects: Sequence[str]) -> list[Planned]:
    """Counts each object; raises the door's errors."""
    return [share(name, (await count(rest, name)).total) for name in objects]


def share(object_name: str, rows: int) -> Planned:
    """create, polls, pages and both counts."""
    pages = max(1, math.ceil(rows / PAGE_RECORDS))
    return Planned(object_name, rows, jobs=1, calls=1 + _POLLS + pages + _COUNTS)
