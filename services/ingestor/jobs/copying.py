"""The pages of one Bulk job into the log: the next rows are packed while the ones before are being committed.

Position and rows are one transaction, so after a kill it goes on at the very row. At most two transactions' rows and a
few pages are held, whatever the size of the job.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

from schemas import topics
from schemas.events import Origin
from schemas.mapping import ObjectMapping
from services.ingestor import outgoing
from services.ingestor.jobs import known, plan
from services.ingestor.jobs.lines import Lines
from services.ingestor.jobs.means import Means, Watch
from services.ingestor.jobs.packing import Packing
from services.ingestor.jobs.resume import Resume
from services.ingestor.outgoing import Record
from services.ingestor.transactions import Transactions
from services.salesforce import observed
from services.salesforce.bulk import Job, Page, Values
from services.salesforce.calls import CallClass, within
from services.salesforce.errors import Incomplete

Phase = Literal["start", "end"]
"""Of a job's watermarks."""
MOST_RECORDS = 5_000
MOST_SECONDS = 0.5
"""Of one transaction: while it is open, change events committed after it on its partitions are unseen."""
MOST_BYTES = 8 * 1024 * 1024
"""Of one transaction, where rows are long: two of them are held at a time."""
_LEAST_RECORDS = 100
_YIELD_ROWS = 250
"""Rows packed before others on the same loop have a turn: a few milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What is copied and how it is said.

    checkpoint: the job's own, for a position; saw: told each id in the log, and whether it is deleted
    """

    mapping: ObjectMapping
    origin: Origin
    call_class: CallClass
    checkpoint: Callable[[Resume], Record]
    watch: Watch
    saw: Callable[[str, bool], None] | None = None


class Copying:
    """One copy of one finished Bulk job. `at` is what is in the log."""

    def __init__(self, means: Means, held: Transactions, of: Copied, at: Resume) -> None:
        self._means = means
        self._held = held
        self._of = of
        self._object = of.mapping.name
        self._lines = Lines(of.mapping, r0_ms=at.r0_ms, origin=of.origin, margin_ms=at.margin_ms, job_id=at.job_id)
        self._asks_statuses = self._object == topics.OBJECT_OF[topics.ORDER.name] and bool(means.dsn)
        self._size = MOST_RECORDS
        self._commit: asyncio.Task[None] | None = None
        self._ahead = at
        self.at = at

    async def run(self, job: Job) -> Resume:
        """Every row from where it stands. Raises Incomplete where the counts of the job disagree."""
        self._of.watch(self._object, self.at.rows, job.records)
        pages = self._means.bulk.pages(
            job,
            call_class=self._of.call_class,
            deadline=within(self._means.job_seconds),
            locator=self.at.locator,
            counted=self.at.before,
            page_records=plan.PAGE_RECORDS,
        )
        try:
            async with aclosing(pages):
                async for page in pages:
                    await self._page(page, job.records)
            await self._committed()
        finally:
            await self._dropped()
        if self.at.rows != job.records:
            raise Incomplete(f"job {job.id} says {job.records} records, {self.at.rows} are in the log")
        return self.at

    async def _page(self, page: Page, total: int) -> None:
        if [name.lower() for name in page.names] != [name.lower() for name in self._of.mapping.select] and page.count:
            raise Incomplete("a page has other columns than were selected")
        rows = islice(page.values, self._ahead.done, None)
        while self._ahead.done < page.count:
            packing, kept = await self._packing(islice(rows, min(self._size, page.count - self._ahead.done)))
            if not packing.count:
                raise Incomplete(f"a page of {page.count} rows ended after {self._ahead.done}")
            more = await self._lost_statuses(kept)
            self._ahead = replace(self._ahead, done=self._ahead.done + packing.count)
            await self._committed()
            self._commit = asyncio.create_task(self._write(packing, more, self._ahead, total), name="copy rows")
        if next(rows, None) is not None:
            raise Incomplete(f"a page of {page.count} rows goes on after them")
        if page.next_locator:
            self._ahead = replace(self._ahead, locator=page.next_locator, before=page.counted, done=0)

    async def _packing(self, rows: Iterator[Values]) -> tuple[Packing, list[Values]]:
        """One transaction's rows, packed before it is begun; the rows too, where their statuses are asked for."""
        packing, kept = Packing(self._held, self._object, self._means.clock.now()), []
        line, saw = self._lines.line, self._of.saw
        for row in rows:
            built = line(row)
            packing.add(built)
            if saw is not None:
                saw(built.key.decode(), row[1] == "true")
            if self._asks_statuses:
                kept.append(row)
            if packing.bytes >= MOST_BYTES:
                break
            if packing.count % _YIELD_ROWS == 0:
                await asyncio.sleep(0)
        return packing, kept

    async def _lost_statuses(self, chunk: Sequence[Values]) -> list[Record]:
        """Of orders whose Status is not the one that is known."""
        if not chunk:
            return []
        place = self._of.mapping.select.index(observed.STATUS)
        stored = await known.statuses(self._means.dsn, [row[0] for row in chunk])
        differ = (self._lines.change(row) for row in chunk if (has := stored.get(row[0])) and has.status != row[place])
        now = self._means.clock.now()
        return [outgoing.status(each, now) for each in observed.statuses(self._means.statuses, differ, stored)]

    async def _write(self, packing: Packing, more: Sequence[Record], at: Resume, total: int) -> None:
        began = self._means.clock.monotonic()
        await self._held.commit([*more, self._of.checkpoint(at)], packing.packed())
        self._size = next_size(self._size, self._means.clock.monotonic() - began)
        self.at = at
        self._of.watch(self._object, at.rows, total)

    async def _committed(self) -> None:
        """Wait for the transaction under way. Raises what became of it."""
        if self._commit is not None:
            commit, self._commit = self._commit, None
            await commit

    async def _dropped(self) -> None:
        if self._commit is not None:
            self._commit.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({self._commit})


def next_size(size: int, seconds: float) -> int:
    """Records of the next transaction, after one of `size` that was open for so long."""
    if seconds <= MOST_SECONDS:
        return min(MOST_RECORDS, size * 2)
    return max(_LEAST_RECORDS, int(size * MOST_SECONDS / seconds))


def select_rows(mapping: ObjectMapping, where: str = "") -> str:
    """SOQL of every mapped field, in the order that `Lines` takes."""
    query = f"SELECT {', '.join(mapping.select)} FROM {mapping.name}"  # noqa: S608 - names of the mapping file
    return f"{query} WHERE {where}" if where else query


def chunks(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Of at most one transaction each."""
    for begin in range(0, len(records), MOST_RECORDS):
        yield records[begin : begin + MOST_RECORDS]
