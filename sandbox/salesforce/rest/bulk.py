"""Bulk 2.0 query jobs over HTTP."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from aiohttp import web

from sandbox.salesforce.bulk_jobs import BulkJobs, Job, locator, row_of
from sandbox.salesforce.errors import Refused
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.rest.answers import INSTANCE, answer, json_response
from sandbox.salesforce.rest.data import admit, read_json
from sandbox.salesforce.values import rest_time

JOBS = web.AppKey("jobs", BulkJobs)
_PAGE = 50_000  # rows of a result page when the client names no number
_PARALLEL_PAGES = 5
_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]
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
    async def guarded(request: web.Request) -> web.Response:
        instance = request.app[INSTANCE]
        try:
            admit(instance, request)
            instance.usage.count_call(route)
            response = await handler(request)
        except Refused as error:
            response = json_response(instance, error.status, [error.as_rest()])
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
    details: dict[str, Any] = {
        "jobType": "V2Query",
        "numberRecordsProcessed": job.records,
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


async def _results(request: web.Request) -> web.Response:
    jobs = request.app[JOBS]
    job = _same_version(jobs.get(request.match_info["id"]), request)
    results = jobs.results(job)
    start, size = _window(request.query)
    if start > len(results.rows) or start < 0:
        raise Refused("INVALIDLOCATOR", "Invalid locator")
    count = min(size, len(results.rows) - start)
    end = start + count
    headers = {
        "Sforce-NumberOfRecords": str(count),
        "Sforce-Locator": locator(end) if end < len(results.rows) else "null",
    }
    page = results.page(start, size)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        page = await asyncio.to_thread(_gzip, page)
        headers["Content-Encoding"] = "gzip"
    return answer(request.app[INSTANCE], 200, page, "text/csv", headers)


async def _pages(request: web.Request) -> web.Response:
    """Up to five result addresses that can be read side by side."""
    jobs = request.app[JOBS]
    job = _same_version(jobs.get(request.match_info["id"]), request)
    total = len(jobs.results(job).rows)
    start, size = _window(request.query)
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


def _window(query: Mapping[str, str]) -> tuple[int, int]:
    """First row and number of rows of a page."""
    text = query.get("locator", "")
    limit = query.get("maxRecords", "")
    if limit and (not limit.isdigit() or int(limit) < 1):
        raise Refused("INVALIDREQUEST", "maxRecords must be a positive number")
    return (row_of(text) if text and text != "null" else 0), min(int(limit or _PAGE), _PAGE)


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(data) + packer.flush()
