"""Bulk 2.0 query jobs: states that take their time, results as CSV rows that a locator can return to.

Jobs are kept under the state directory: after a restart a client can go on paging, and a job that ran runs anew.
"""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sandbox.salesforce import ids
from sandbox.salesforce.errors import Refused, not_found
from sandbox.salesforce.faults import bulk as kinds
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.results import Results
from sandbox.salesforce.soql import run
from sandbox.salesforce.soql.parser import parse
from sandbox.salesforce.soql.rows import csv_columns
from sandbox.salesforce.soql.tree import Query

_KEPT_MS = 7 * 86_400_000
_SLICE = 2000  # records filtered and written between two looks at the event loop
_COMPOUND = frozenset({"billingaddress", "shippingaddress"})
DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}


class Job(msgspec.Struct, kw_only=True):
    """A query job as it is kept."""

    id: str
    operation: str
    query: str
    object: str
    created_ms: int
    changed_ms: int
    version: str
    state: str = "UploadComplete"
    error: str = ""
    delimiter: str = "COMMA"
    line_ending: str = "LF"
    records: int = 0
    took_ms: int = 0
    header: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkSettings:
    """How this org's Bulk API behaves where that can be chosen."""

    page_rows: int = 50_000  # most rows of a result page
    keep_jobs: bool = True  # over a restart


class BulkJobs:
    """All query jobs of the org."""

    def __init__(self, instance: Instance, settings: BulkSettings) -> None:
        self.settings = settings
        self._instance = instance
        self._dir = instance.state_dir / "bulk"
        self._dir.mkdir(exist_ok=True)
        self._jobs: dict[str, Job] = {}
        for path in sorted(self._dir.glob("750*.json")):
            self._restore(path)

    def create(self, body: dict[str, object], version: str) -> Job:
        """A new job, running from now on.  Raises Refused for what Bulk cannot query."""
        operation = str(body.get("operation", ""))
        if operation not in ("query", "queryAll"):
            raise Refused("INVALIDJOB", f"Unsupported operation: {operation}")
        delimiter, line_ending = str(body.get("columnDelimiter", "COMMA")), str(body.get("lineEnding", "LF"))
        if delimiter not in DELIMITERS or line_ending not in LINE_ENDINGS or body.get("contentType", "CSV") != "CSV":
            raise Refused("INVALIDJOB", "Unsupported contentType, columnDelimiter or lineEnding")
        text = str(body.get("query", ""))
        source = self._check(parse(text))
        self._spend()
        org = self._instance.org
        now = org.clock.now_ms()
        job = Job(
            id=org.next_job_id(),
            operation=operation,
            query=text,
            object=source,
            created_ms=now,
            changed_ms=now,
            version=version,
            delimiter=delimiter,
            line_ending=line_ending,
        )
        self._jobs[job.id] = job
        self._save(job)
        self._instance.spawn(self._run(job), f"bulk-job-{job.id}")
        return job

    def _spend(self) -> None:
        usage, most = self._instance.usage, self._instance.usage.allowances
        if usage.query_jobs.total() >= most.daily_query_jobs:
            text = f"Max bulk v2 query jobs ({most.daily_query_jobs}) per 24 hrs has been reached"
            raise Refused("LIMIT_EXCEEDED", text)
        if usage.result_bytes.total() >= most.daily_result_mb << 20:
            text = (
                f"Max bulk v2 query result size stored ({most.daily_result_mb << 10}) kb per 24 hrs has been exceeded"
            )
            raise Refused("LIMIT_EXCEEDED", text)
        usage.query_jobs.add()

    def _check(self, query: Query) -> str:
        """The object's name.  Raises Refused."""
        obj = run.target(query)
        if query.aggregates or query.offset:
            raise Refused(
                "API_ERROR",
                "Implementation restriction: GROUP BY, OFFSET and aggregates are not supported in Bulk Query",
            )
        if any(item[-1].lower() in _COMPOUND for item in query.select if isinstance(item, tuple)):
            raise Refused("INVALIDENTITY", "Selecting compound data not supported in Bulk Query")
        csv_columns(self._instance.org.store, obj, query)
        run.test(self._instance.org.store, query, 0, with_deleted=True)
        return obj.name

    async def _run(self, job: Job) -> None:
        board, delay = self._instance.faults, self._instance.org.behaviour.bulk_delay_s
        slow = board.take(kinds.Slow, job.object) or kinds.Slow()
        await asyncio.sleep(delay if slow.upload_complete is None else slow.upload_complete)
        if not self._advance(job, "InProgress"):
            return
        await asyncio.sleep(delay if slow.in_progress is None else slow.in_progress)
        if board.take(kinds.Abort, job.object) is not None:
            self._advance(job, "Aborted")
        elif (fail := board.take(kinds.Fail, job.object)) is not None:
            job.error = fail.message
            self._advance(job, "Failed")
        else:
            await self._complete(job)

    async def _complete(self, job: Job) -> None:
        started = self._instance.org.clock.now_ms()
        results = await self._collect(job)
        job.records = results.count
        job.took_ms = self._instance.org.clock.now_ms() - started
        if self._advance(job, "JobComplete"):
            self._instance.usage.result_bytes.add(results.size)
        else:
            results.remove()

    def _advance(self, job: Job, state: str) -> bool:
        """False when the job was aborted or deleted meanwhile."""
        if job.state in ("Aborted", "Failed") or job.id not in self._jobs:
            return False
        job.state = state
        job.changed_ms = self._instance.org.clock.now_ms()
        self._save(job)
        return True

    async def _collect(self, job: Job) -> Results:
        """The rows as they are at one moment, although writing them down takes longer."""
        store = self._instance.org.store
        query = parse(job.query)
        names, cells = csv_columns(store, run.target(query), query)
        now = self._instance.org.clock.now_ms()
        check = run.test(store, query, now, with_deleted=job.operation == "queryAll")
        snapshot = run.candidates(store, query)
        found = []
        for start in range(0, len(snapshot), _SLICE):
            found += [record for record in snapshot[start : start + _SLICE] if check(record)]
            await asyncio.sleep(0)
        del snapshot
        found = run.arrange(store, query, found)
        job.header = _line(job, names)
        results = self._results(job)
        with results.write() as writing:
            for start in range(0, len(found), _SLICE):
                writing.add([_line(job, cells(record)) for record in found[start : start + _SLICE]])
                await asyncio.sleep(0)
        return results

    def _results(self, job: Job) -> Results:
        return Results(self._dir, job.id, job.header)

    def get(self, job_id: str) -> Job:
        """Raises Refused (404)."""
        full = ids.extend(job_id)
        if full is None or (job := self._jobs.get(full)) is None:
            raise not_found()
        phase = "complete" if job.state == "JobComplete" else "running"
        if self._instance.faults.take(kinds.Lost, job.object, where=lambda f: f.when in ("any", phase)) is not None:
            self._forget(job)
            raise not_found()
        return job

    def newest_first(self) -> Iterator[Job]:
        return iter(sorted(self._jobs.values(), key=lambda job: job.created_ms, reverse=True))

    def results(self, job: Job) -> Results:
        """Raises Refused while the job is not complete."""
        if job.state != "JobComplete":
            raise Refused("INVALIDJOBSTATE", f"Job results are only available when it is complete: {job.state}")
        return self._results(job)

    def abort(self, job: Job) -> None:
        if job.state in ("JobComplete", "Failed"):
            raise Refused("INVALIDJOBSTATE", f"Aborting already {job.state} job not allowed")
        self._advance(job, "Aborted")

    def delete(self, job: Job) -> None:
        if job.state in ("UploadComplete", "InProgress"):
            raise Refused("INVALIDJOBSTATE", "Deleting not Closed Job not allowed")
        self._forget(job)

    def _forget(self, job: Job) -> None:
        self._jobs.pop(job.id)
        self._results(job).remove()
        (self._dir / f"{job.id}.json").unlink(missing_ok=True)

    def _save(self, job: Job) -> None:
        draft = self._dir / f"{job.id}.new"
        draft.write_bytes(msgspec.json.encode(job))
        draft.replace(self._dir / f"{job.id}.json")

    def _restore(self, path: Path) -> None:
        job = msgspec.json.decode(path.read_bytes(), type=Job)
        results, finished = self._results(job), job.state in ("JobComplete", "Failed", "Aborted")
        expired = self._instance.org.clock.now_ms() - job.created_ms > _KEPT_MS
        if expired or not self.settings.keep_jobs or (job.state == "JobComplete" and not results.complete):
            path.unlink()
            results.remove()
            return
        self._jobs[job.id] = job
        if not finished:
            self._instance.spawn(self._run(job), f"bulk-job-{job.id}")


def _line(job: Job, cells: list[str]) -> bytes:
    """One CSV row; every value is quoted, a null is an empty one."""
    between = f'"{DELIMITERS[job.delimiter]}"'
    text = between.join([cell.replace('"', '""') if '"' in cell else cell for cell in cells])
    return f'"{text}"{LINE_ENDINGS[job.line_ending]}'.encode()


def locator(row: int) -> str:
    """An opaque place in a result: base64 of the row number."""
    return base64.b64encode(str(row).encode()).decode().rstrip("=")


def row_of(text: str) -> int:
    """Raises Refused for text that is no locator."""
    try:
        row = int(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except ValueError:
        raise Refused("INVALIDLOCATOR", f"Invalid locator: {text}") from None
    return row
