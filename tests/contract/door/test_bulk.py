"""Bulk query jobs through the door: whole, page by page, and resumed in the middle."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from schemas import mapping
from services.salesforce import canonical, pagefile, soql
from services.salesforce.bulk import Bulk, Job
from services.salesforce.calls import CallClass, within
from services.salesforce.door import Door
from services.salesforce.errors import BadRequest, Incomplete, NotFound
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

ENTRY = mapping.load().objects["PricebookEntry"]
SOQL = soql.select(ENTRY.select, "PricebookEntry")
BULK = CallClass.BACKFILL


async def _finished(bulk: Bulk, query: str = SOQL) -> Job:
    job = await bulk.create(query, call_class=BULK, deadline=within(20))
    return await bulk.finished(job, call_class=BULK, deadline=within(20))


async def test_every_record_comes_in_checked_pages(opened: Door, salesforce_sim: Simulator) -> None:
    expected = {row["Id"]: row for row in salesforce_sim.do("GET", "/records/PricebookEntry")["records"]}
    before = time.time() * 1000
    job = await _finished(opened.bulk)

    seen: dict[str, pagefile.Row] = {}
    counts = []
    async for page in opened.bulk.pages(job, call_class=BULK, deadline=within(20), page_records=100):
        rows = list(page.rows)
        assert len(rows) == page.count
        counts.append(page.counted)
        seen |= {str(row["Id"]): row for row in rows}

    assert seen.keys() == expected.keys()
    assert counts == sorted(counts)
    assert counts[-1] == job.records == len(expected)
    assert len(counts) > 2
    assert job.r0_ms <= before + 50


async def test_bulk_and_rest_give_one_canonical_form(opened: Door) -> None:
    job = await _finished(opened.bulk)
    by_csv: dict[str | None, dict[str, canonical.Value]] = {}
    async for page in opened.bulk.pages(job, call_class=BULK, deadline=within(20)):
        by_csv |= {row["Id"]: canonical.from_csv(ENTRY, row) for row in page.rows}

    read = await opened.rest.query_all(SOQL, call_class=BULK, deadline=within(20))

    assert {record["Id"]: canonical.from_rest(ENTRY, record) for record in read.records} == by_csv


async def test_job_goes_on_from_a_locator_in_a_new_process(opened: Door) -> None:
    job = await _finished(opened.bulk)
    pages = opened.bulk.pages(job, call_class=BULK, deadline=within(20), page_records=100)
    first = await anext(pages)
    done = [row["Id"] for row in first.rows]
    await pages.aclose()

    again = await opened.bulk.job(job.id, job.r0_ms, call_class=BULK, deadline=within(20))
    rest = [
        row["Id"]
        async for page in opened.bulk.pages(
            again,
            call_class=BULK,
            deadline=within(20),
            locator=first.next_locator,
            counted=first.counted,
            page_records=100,
        )
        for row in page.rows
    ]

    assert len({*done, *rest}) == len(done) + len(rest) == job.records


async def test_wrong_total_is_never_taken_as_whole(opened: Door) -> None:
    job = await _finished(opened.bulk)

    with pytest.raises(Incomplete):
        async for _ in opened.bulk.pages(job, call_class=BULK, deadline=within(20), counted=1):
            pass


async def test_query_without_records_is_complete(opened: Door) -> None:
    job = await _finished(opened.bulk, "SELECT Id FROM Product2 WHERE Name = 'no such product'")

    pages = [page.count async for page in opened.bulk.pages(job, call_class=BULK, deadline=within(20))]

    assert pages == [0]


async def test_wrong_query_is_refused_at_once(opened: Door) -> None:
    with pytest.raises(BadRequest):
        await opened.bulk.create("SELECT Nothing__c FROM Product2", call_class=BULK, deadline=within(10))


async def test_aborted_and_deleted_jobs_stay_so(opened: Door) -> None:
    job = await opened.bulk.create(SOQL, call_class=BULK, deadline=within(10))

    await opened.bulk.abort(job.id, call_class=BULK, deadline=within(10))
    assert (await opened.bulk.job(job.id, job.r0_ms, call_class=BULK, deadline=within(10))).state == "Aborted"

    for _ in range(2):
        await opened.bulk.delete(job.id, call_class=BULK, deadline=within(10))
        await opened.bulk.abort(job.id, call_class=BULK, deadline=within(10))
    with pytest.raises(NotFound):
        await opened.bulk.job(job.id, job.r0_ms, call_class=BULK, deadline=within(10))


async def test_job_waits_out_an_outage(opened: Door, salesforce_sim: Simulator, registry: CollectorRegistry) -> None:
    failed = {"route": "bulk_results", "call_class": "backfill", "outcome": "unavailable"}
    job = await _finished(opened.bulk)
    pages = opened.bulk.pages(job, call_class=BULK, deadline=within(60), page_records=200)
    first = await anext(pages)

    salesforce_sim.do("POST", "/switch", {"salesforce": "off"})
    try:
        following = asyncio.create_task(anext(pages), name="the page after the outage")
        await eventually(lambda: (registry.get_sample_value("salesforce_requests_total", failed) or 0) >= 5)
    finally:
        salesforce_sim.do("POST", "/switch", {"salesforce": "on"})
    second = await following

    assert second.counted == first.counted + second.count
    await pages.aclose()
