"""Bulk 2.0 query jobs: pages, compression, limits, a restart in the middle, and each of their faults."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.salesforce.faults import bulk as kinds
from sandbox.salesforce.faults import rest
from tests.contract.salesforce_sim.simulator import Simulator, running
from tests.support.eventually import eventually
from tests.support.faults import Faults

_SOQL = "SELECT Id, Name FROM Product2"


@pytest.fixture
def faults(sim: Simulator) -> Iterator[Faults]:
    board = Faults(sim.control)
    yield board
    board.clear()


def _create(sim: Simulator, soql: str = _SOQL) -> str:
    body = {"operation": "query", "query": soql}
    return str(sim.call("POST", "/jobs/query", json=body).json()["id"])


async def _ended(sim: Simulator, job: str) -> dict[str, Any]:
    """The job, once it is in a state that it stays in."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = sim.call("GET", f"/jobs/query/{job}").json()
        return found if found["state"] in ("JobComplete", "Failed", "Aborted") else None

    found = await eventually(look, within=20)
    assert found is not None
    return found


async def _done(sim: Simulator, soql: str = _SOQL) -> str:
    job = _create(sim, soql)
    assert (await _ended(sim, job))["state"] == "JobComplete"
    return job


def _page(sim: Simulator, job: str, gzip: bool = True, **params: Any) -> requests.Response:
    headers = {"Accept-Encoding": "gzip" if gzip else "identity"}
    return sim.call("GET", f"/jobs/query/{job}/results", params=params, headers=headers)


def _rows(answer: requests.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text)))


def _walk(sim: Simulator, job: str, **params: Any) -> list[requests.Response]:
    """All pages, by their locators."""
    pages = [_page(sim, job, **params)]
    while (locator := pages[-1].headers["Sforce-Locator"]) != "null":
        pages.append(_page(sim, job, locator=locator, **params))
    return pages


@pytest.mark.parametrize("gzip", [True, False])
async def test_pages_are_the_same_compressed_or_not(sim: Simulator, gzip: bool) -> None:
    job = await _done(sim)
    pages = _walk(sim, job, gzip=gzip, maxRecords=7)
    rows = [row for page in pages for row in _rows(page)]

    assert {page.headers.get("Content-Encoding") for page in pages} == {"gzip" if gzip else None}
    assert all(int(page.headers["Sforce-NumberOfRecords"]) == len(_rows(page)) for page in pages)
    assert len({row["Id"] for row in rows}) == len(rows) == sim.do("GET", "/state")["records"]["Product2"]
    assert [row for page in _walk(sim, job) for row in _rows(page)] == rows


async def test_the_org_decides_how_many_rows_a_page_has(state_dir: Path) -> None:
    with running(state_dir, "--bulk-delay", "0.02", "--bulk-page-rows", "10") as sim:
        job = await _done(sim)
        sizes = [len(_rows(page)) for page in _walk(sim, job, maxRecords=1000)]

    assert set(sizes[:-1]) == {10}
    assert len(sizes) > 3


async def test_pages_can_be_read_side_by_side(sim: Simulator) -> None:
    job = await _done(sim)
    path, urls = f"/jobs/query/{job}/resultPages?maxRecords=5", []
    while path:
        answer = sim.call("GET", path).json()
        urls += [page["resultUrl"] for page in answer["resultPages"]]
        path = str(answer["nextRecordUrl"] or "").removeprefix(f"/services/data/v{sim.api_version}")
    pages = [sim.call("GET", url.removeprefix(f"/services/data/v{sim.api_version}")) for url in reversed(urls)]

    assert len({row["Id"] for page in pages for row in _rows(page)}) == sum(len(_rows(page)) for page in pages)
    assert sum(len(_rows(page)) for page in pages) == sim.do("GET", "/state")["records"]["Product2"]


async def test_a_job_is_read_in_the_version_it_was_made_in(sim: Simulator) -> None:
    job = await _done(sim)

    assert sim.call("GET", f"/jobs/query/{job}/results", version="60.0").status_code == 409


async def test_result_pages_came_with_version_58(sim: Simulator) -> None:
    job = sim.call("POST", "/jobs/query", json={"operation": "query", "query": _SOQL}, version="57.0").json()["id"]
    await _ended(sim, job)

    assert sim.call("GET", f"/jobs/query/{job}/resultPages", version="57.0").status_code == 404
    assert sim.call("GET", f"/jobs/query/{job}/results", version="57.0").status_code == 200


async def test_jobs_and_results_are_counted_against_allowances(state_dir: Path) -> None:
    with running(state_dir, "--bulk-delay", "0.02") as sim:
        sim.do("POST", "/allowances", {"daily_query_jobs": 1})
        await _done(sim)
        job_limit = sim.call("POST", "/jobs/query", json={"operation": "query", "query": _SOQL})
        sim.do("POST", "/allowances", {"daily_query_jobs": 10, "daily_result_mb": 0})
        size_limit = sim.call("POST", "/jobs/query", json={"operation": "query", "query": _SOQL})

    for answer, words in ((job_limit, "Max bulk v2 query jobs (1)"), (size_limit, "result size stored (0) kb")):
        assert answer.status_code == 400
        assert answer.json()[0]["errorCode"] == "LIMIT_EXCEEDED"
        assert words in answer.json()[0]["message"]


async def test_states_take_as_long_as_they_are_told(sim: Simulator, faults: Faults) -> None:
    faults.arm(kinds.Slow(upload_complete=0, in_progress=60, count=1, match="Product2"))
    slow, quick = _create(sim), await _done(sim, "SELECT Id FROM Account")

    assert sim.call("GET", f"/jobs/query/{slow}").json()["state"] == "InProgress"
    assert sim.call("GET", f"/jobs/query/{slow}/results").status_code == 400
    assert sim.call("PATCH", f"/jobs/query/{slow}", json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert quick != slow


@pytest.mark.parametrize(("fault", "state"), [(kinds.Fail(count=1), "Failed"), (kinds.Abort(count=1), "Aborted")])
async def test_a_job_can_end_badly(sim: Simulator, faults: Faults, fault: Any, state: str) -> None:
    faults.arm(fault)
    job = await _ended(sim, _create(sim))

    assert job["state"] == state
    assert ("selective" in job.get("errorMessage", "")) is (state == "Failed")
    assert sim.call("GET", f"/jobs/query/{job['id']}/results").status_code == 400


async def test_a_job_can_be_gone(sim: Simulator, faults: Faults) -> None:
    job = await _done(sim)
    faults.arm(kinds.Lost(when="complete", count=1))

    assert [_page(sim, job).status_code for _ in range(2)] == [404, 404]


async def test_counts_can_be_wrong(sim: Simulator, faults: Faults) -> None:
    job = await _done(sim)
    right = sim.call("GET", f"/jobs/query/{job}").json()["numberRecordsProcessed"]
    faults.arm(kinds.Count(of="page", by=-1, count=1), kinds.Count(of="job", by=5, count=1))

    assert _page(sim, job).headers["Sforce-NumberOfRecords"] == str(right - 1)
    assert sim.call("GET", f"/jobs/query/{job}").json()["numberRecordsProcessed"] == right + 5
    assert len(_rows(_page(sim, job))) == right


async def test_a_page_can_lack_rows_that_it_counts(sim: Simulator, faults: Faults) -> None:
    job = await _done(sim)
    faults.arm(kinds.ShortPage(rows=3, count=1))
    page = _page(sim, job)

    assert int(page.headers["Sforce-NumberOfRecords"]) == len(_rows(page)) + 3


@pytest.mark.parametrize("gzip", [True, False])
async def test_a_page_can_break_off(sim: Simulator, faults: Faults, gzip: bool) -> None:
    job = await _done(sim)
    faults.arm(rest.BrokenOff(match=f"GET /jobs/query/{job}/results", count=1))
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        _page(sim, job, gzip=gzip)
    whole = len(_page(sim, job).content)
    faults.arm(rest.BrokenOff(match=f"GET /jobs/query/{job}/results", how="short", count=1))
    short = _page(sim, job, gzip=gzip)

    assert 0 < len(short.content) < whole


async def test_a_locator_can_be_lost_and_compression_refused(sim: Simulator, faults: Faults) -> None:
    job = await _done(sim)
    locator = _page(sim, job, maxRecords=5).headers["Sforce-Locator"]
    faults.arm(kinds.LostLocator(count=1), kinds.NoGzip(count=1))
    lost, plain = _page(sim, job, maxRecords=5, locator=locator), _page(sim, job)

    assert lost.status_code == 400
    assert lost.json()[0]["errorCode"] == "INVALIDLOCATOR"
    assert "Content-Encoding" not in plain.headers


async def test_a_job_that_ran_at_a_kill_runs_on(state_dir: Path) -> None:
    with running(state_dir, "--bulk-delay", "30") as sim:
        job, token = _create(sim), sim.token()
        sim.kill()
    with running(state_dir, "--bulk-delay", "0.02") as sim:
        done = await _ended(sim, job)
        rows = _rows(_page(sim, job))
        assert sim.get_as(token, f"/jobs/query/{job}").status_code == 200

    assert done["state"] == "JobComplete"
    assert len(rows) == done["numberRecordsProcessed"] > 0


async def test_a_restart_can_lose_all_jobs(state_dir: Path) -> None:
    with running(state_dir, "--bulk-delay", "0.02") as sim:
        job = await _done(sim)
    with running(state_dir, "--bulk-restart", "lost") as sim:
        assert _page(sim, job).status_code == 404
        assert sim.call("GET", "/jobs/query").json()["records"] == []

    assert list((state_dir / "bulk").iterdir()) == []
