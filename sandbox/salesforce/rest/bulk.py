"""Bulk 2.0 query jobs over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from aiohttp import web

from sandbox.salesforce.bulk_jobs import BulkJobs, Job, locator, row_of
from sandbox.salesforce.errors import Refused, not_found
from sandbox.salesforce.faults import bulk as kinds
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.rest.answers import INSTANCE, answer, json_response
from sandbox.salesforce.rest.data import admit, read_json
from sandbox.salesforce.rest.page import send_page
from sandbox.salesforce.values import rest_time

JOBS = web.AppKey("jobs", BulkJobs)
_PARALLEL_PAGES = 5
_PAGES_SINCE = 58.0  # the API version that brought resultPages
_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
_JOB = r"/services/data/v{version}/jobs/query/{id}"


def add_routes(app: web.Application, jobs: BulkJobs) -> None:
    app[JOBS] = jobs
    for method, path, handler in (
        ("POST", r"/services/data/v{version}/jobs/query", _create),
        ("GET", r"/services/data/v{version}/jobs/query", _list),
        ("GET", _JOB, _show),
        ("PATCH", _JOB, _abort),
        ("DELETE", _JOB, _delete),
        ("GET", _JOB + "/results", _results),
        ("GET", _JOB + "/resultPages", _pages),
    ):
        app.router.add_route(method, path, _guarded(f"{method} {path.partition('{version}')[2]}", handler))
        app.router.add_route(method, path + "/", _guarded(f"{method} {path.partition('{version}')[2]}", handler))


def _guarded(route: str, handler: _Handler) -> _Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        instance = request.app[INSTANCE]
        try:
            admit(instance, request)
            instance.usage.count_call(route)
            response = await handler(request)
        except Refused as error:
            response = json_response(instance, error.status, [error.as_rest()])
        if not response.prepared:
            response.headers["Sforce-Limit-Info"] = instance.usage.limit_info()
        return response

    return guarded


async def _create(request: web.Request) -> web.Response:
    body = await read_json(request)
    if not isinstance(body, dict):
        raise Refused("JSON_PARSER_ERROR", "The HTTP entity body is required")
    job = request.app[JOBS].create(body, request.match_info["version"])
    return json_response(request.app[INSTANCE], 200, _shown(job, request.app[INSTANCE]))


async def _list(request: web.Request) -> web.Response:
    instance = request.app[INSTANCE]
    shown = [_shown(job, instance) for job in request.app[JOBS].newest_first()]
    return json_response(instance, 200, {"done": True, "records": shown, "nextRecordsUrl": None})


async def _show(request: web.Request) -> web.Response:
    job = request.app[JOBS].get(request.match_info["id"])
    wrong = request.app[INSTANCE].faults.take(kinds.Count, job.object, where=lambda f: f.of == "job")
    details: dict[str, Any] = {
        "jobType": "V2Query",
        "numberRecordsProcessed": max(0, job.records + (wrong.by if wrong else 0)),
        "retries": 0,
        "totalProcessingTime": job.took_ms,
        "isPkChunkingSupported": True,
    }
    if job.error:
        details["errorMessage"] = job.error
    return json_response(request.app[INSTANCE], 200, _shown(job, request.app[INSTANCE]) | details)


def _shown(job: Job, instance: Instance) -> dict[str, Any]:
    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": instance.identity.user_id,
        "createdDate": rest_time(job.created_ms),
        "systemModstamp": rest_time(job.changed_ms),
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(job.version),
        "lineEnding": job.line_ending,
        "columnDelimiter": job.delimiter,
    }


async def _abort(request: web.Request) -> web.Response:
    jobs = request.app[JOBS]
    job = jobs.get(request.match_info["id"])
    body = await read_json(request)
    if not isinstance(body, dict) or body.get("state") != "Aborted":
        raise Refused("INVALIDJOB", "a query job can only be set to Aborted")
    jobs.abort(job)
    return json_response(request.app[INSTANCE], 200, _shown(job, request.app[INSTANCE]))


async def _delete(request: web.Request) -> web.Response:
    request.app[JOBS].delete(request.app[JOBS].get(request.match_info["id"]))
    return answer(request.app[INSTANCE], 204, b"", "application/json")


async def _results(request: web.Request) -> web.StreamResponse:
    jobs, board = request.app[JOBS], request.app[INSTANCE].faults
    job = _same_version(jobs.get(request.match_info["id"]), request)
    results = jobs.results(job)
    start, size = _window(request, job)
    lost_locator = start > 0 and board.take(kinds.LostLocator, job.object) is not None
    if start > results.count or start < 0 or lost_locator:
        raise Refused("INVALIDLOCATOR", "Invalid locator")
    count = min(size, results.count - start)
    end = start + count
    wrong, short = board.take(kinds.Count, job.object, where=_of_page), board.take(kinds.ShortPage, job.object)
    headers = {
        "Sforce-NumberOfRecords": str(max(0, count + (wrong.by if wrong else 0))),
        "Sforce-Locator": locator(end) if end < results.count else "null",
    }
    sent = max(0, count - short.rows) if short else count
    return await send_page(request, results, results.span(start, sent), headers, packed=_packs(request, job))


def _of_page(fault: kinds.Count) -> bool:
    return fault.of == "page"


def _packs(request: web.Request, job: Job) -> bool:
    asked = "gzip" in request.headers.get("Accept-Encoding", "")
    return asked and request.app[INSTANCE].faults.take(kinds.NoGzip, job.object) is None


async def _pages(request: web.Request) -> web.Response:
    """Up to five result addresses that can be read side by side."""
    jobs = request.app[JOBS]
    job = _same_version(jobs.get(request.match_info["id"]), request)
    if float(job.version) < _PAGES_SINCE:
        raise not_found()
    total = jobs.results(job).count
    start, size = _window(request, job)
    base = f"/services/data/v{job.version}/jobs/query/{job.id}"
    starts = list(range(start, max(total, start + 1), size))
    body: dict[str, Any] = {
        "resultPages": [
            {"resultUrl": f"{base}/results?locator={locator(row)}&maxRecords={size}"}
            for row in starts[:_PARALLEL_PAGES]
        ],
        "nextRecordUrl": None,
        "done": len(starts) <= _PARALLEL_PAGES,
    }
    if not body["done"]:
        body["nextRecordUrl"] = f"{base}/resultPages?locator={locator(starts[_PARALLEL_PAGES])}&maxRecords={size}"
    return json_response(request.app[INSTANCE], 200, body)


def _same_version(job: Job, request: web.Request) -> Job:
    """A job is read with the API version it was made with."""
    if request.match_info["version"] != job.version:
        raise Refused("API_VERSION_MISMATCH", f"The job was created with API version {job.version}", status=409)
    return job


def _window(request: web.Request, job: Job) -> tuple[int, int]:
    """First row and number of rows of a page."""
    most = request.app[JOBS].settings.page_rows
    if (fewer := request.app[INSTANCE].faults.take(kinds.PageRows, job.object)) is not None:
        most = min(most, fewer.rows)
    text = request.query.get("locator", "")
    limit = request.query.get("maxRecords", "")
    if limit and (not limit.isdigit() or int(limit) < 1):
        raise Refused("INVALIDREQUEST", "maxRecords must be a positive number")
    return (row_of(text) if text and text != "null" else 0), min(int(limit or most), most)
