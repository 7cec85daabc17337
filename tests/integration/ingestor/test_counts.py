"""A number of records that disagrees with what is there is never taken for success, whoever tells it."""

from __future__ import annotations

from typing import Any

import pytest

from schemas import mapping
from services.ingestor.jobs import backfill, delta
from services.ingestor.jobs.means import Means
from tests.integration.ingestor.harness import Log, unwatched
from tests.integration.ingestor.test_delta import ends
from tests.support.salesforce_sim import Simulator

LONG = pytest.mark.long
PRODUCT = mapping.load().objects["Product2"]


@pytest.mark.long
@pytest.mark.parametrize(("of", "by"), [("job", 1), ("job", -1), ("page", 1)])
async def test_count_that_disagrees_is_never_success(log: Log, means: Means, sim: Simulator, of: str, by: int) -> None:
    await backfill.run(means, PRODUCT, unwatched)
    for nth in range(3):
        sim.do("POST", "/records/Product2", {"Name": f"New {nth}"})
    sim.do("POST", "/faults", {"fault": "bulk.count", "of": of, "by": by})

    outcome = await delta.run(means, PRODUCT, unwatched, most_by_rest=1)

    assert (outcome.state, outcome.why) == ("PARTIAL", "mismatch")
    assert ends(await log.watermarks("Product2")) == []


@pytest.mark.parametrize(
    ("of", "by"), [("job", 1), *(pytest.param(*of, marks=LONG) for of in (("job", -1), ("page", 1)))]
)
async def test_backfill_whose_counts_disagree_goes_on_until_they_do(
    log: Log, means: Means, sim: Simulator, of: str, by: int
) -> None:
    sim.do("POST", "/faults", {"fault": "bulk.count", "of": of, "by": by})
    broken = await backfill.run(means, PRODUCT, unwatched)
    sim.do("DELETE", "/faults")

    whole = await backfill.run(means, PRODUCT, unwatched)

    marks = [mark for mark in await log.watermarks("Product2") if mark.phase == "end"]
    assert (broken.state, broken.why, whole.state) == ("PARTIAL", "mismatch", "COMPLETE")
    assert [mark.counted for mark in marks] == [whole.rows] * 4
    assert {mark.job_id for mark in marks} == {whole.job_id}


@pytest.mark.long
@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "bulk.short_page", "rows": 2, "count": 1},
        {"fault": "bulk.page_rows", "rows": 10},
        {"fault": "bulk.no_gzip"},
        {"fault": "rest.broken_off", "match": "GET /jobs/query/*/results*", "keep": 0.5, "how": "cut", "count": 2},
        {"fault": "rest.page", "status": 503, "match": "GET /jobs/query/*", "count": 3},
    ],
    ids=lambda fault: fault["fault"],
)
async def test_what_passes_is_waited_out_and_every_row_comes_once(
    log: Log, means: Means, sim: Simulator, fault: dict[str, Any]
) -> None:
    sim.do("POST", "/faults", fault)

    outcome = await backfill.run(means, PRODUCT, unwatched)

    changes = await log.changes("Product2")
    assert outcome.state == "COMPLETE", outcome
    assert len(changes) == len({change.record_id for change in changes}) == outcome.rows
    assert outcome.rows == len(sim.do("GET", "/records/Product2")["records"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"fault": "bulk.fail"}, "salesforce"),
        ({"fault": "bulk.abort"}, "salesforce"),
        ({"fault": "bulk.lost"}, "salesforce"),
        ({"fault": "rest.refuse", "reason": "bulk_jobs_limit", "match": "POST /jobs/query"}, "limit"),
        ({"fault": "rest.refuse", "reason": "daily_limit", "match": "POST /jobs/query"}, "limit"),
    ],
    ids=lambda fault: fault["fault"] if isinstance(fault, dict) else fault,
)
async def test_what_does_not_pass_is_partial_and_claims_nothing(
    log: Log, means: Means, sim: Simulator, fault: dict[str, Any], why: str
) -> None:
    sim.do("POST", "/faults", {**fault, "count": 1})

    broken = await backfill.run(means, PRODUCT, unwatched)

    assert (broken.state, broken.why) == ("PARTIAL", why)
    assert not [mark for mark in await log.watermarks("Product2") if mark.covered_until is not None]


async def test_run_after_a_failed_job_starts_another(log: Log, means: Means, sim: Simulator) -> None:
    sim.do("POST", "/faults", {"fault": "bulk.fail", "count": 1})
    broken = await backfill.run(means, PRODUCT, unwatched)

    whole = await backfill.run(means, PRODUCT, unwatched)

    assert (broken.state, whole.state) == ("PARTIAL", "COMPLETE")
    assert whole.job_id != broken.job_id
