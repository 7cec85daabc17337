"""A backfill closes only what it has certainly seen, and its checkpoint gives back exactly where it stood."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import events, mapping, versions
from schemas.events import Checkpoint
from services.ingestor import openings
from services.ingestor.jobs import backfill, copying, holes, lives, plan, resume
from services.ingestor.jobs.holes import Hole
from services.ingestor.jobs.means import Outcome, Why
from services.ingestor.jobs.resume import Resume
from services.salesforce.errors import (
    BudgetRefused,
    DeadlinePassed,
    Incomplete,
    LimitExceeded,
    SalesforceError,
    Unavailable,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
R0, M = versions.millis(NOW), versions.DEFAULT_MARGIN_MS


def hole(until_ms: int | None, hole_id: str = "overflow:0a") -> Hole:
    return Hole(hole_id, None if until_ms is None else versions.moment(until_ms))


def test_hole_is_closed_by_a_read_whose_version_lies_beyond_it() -> None:
    assert holes.closable(hole(R0 - M - 1_000), R0, M)
    assert not holes.closable(hole(R0 - M), R0, M)


@given(st.integers(R0 - 100_000, R0 + 100_000), st.sampled_from((5_000, 30_000)))
def test_closed_hole_always_ends_below_the_reads_version(until_ms: int, margin: int) -> None:
    if holes.closable(hole(until_ms), R0, margin):
        assert versions.read_version(R0, margin) > versions.event_version(until_ms, 2**63 - 1, 999_999)


def test_hole_without_an_end_stays_open() -> None:
    assert not holes.closable(hole(None), R0, M)


def test_first_hole_is_closed_by_any_read_that_began_after_it() -> None:
    first = openings.first_hole_id("/data/Product2ChangeEvent", versions.moment(R0))

    assert holes.closable(hole(R0, first), R0, M)
    assert not holes.closable(hole(R0 + 1, first), R0, M)


def test_read_waits_for_the_hole_that_ended_just_now() -> None:
    seconds = holes.worth_waiting([hole(R0 - 10_000), hole(R0 - 3_600_000)], R0, M)

    assert seconds == pytest.approx(21)
    assert holes.closable(hole(R0 - 10_000), R0 + int(seconds * 1000), M)


@pytest.mark.parametrize("until_ms", [None, R0 - 3_600_000, R0 + 3_600_000])
def test_nothing_else_is_waited_for(until_ms: int | None) -> None:
    assert holes.worth_waiting([hole(until_ms)], R0, M) == 0


standing = st.builds(
    Resume,
    job_id=st.just("750000000000001AAA"),
    r0_ms=st.integers(0, 10**13),
    margin_ms=st.integers(0, 10**6),
    selected=st.text(max_size=5),
    least=st.integers(0, 10**6),
    closes=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    locator=st.none() | st.text(min_size=1, max_size=10),
    before=st.integers(0, 10**6),
    done=st.integers(0, 10**4),
)


@given(standing)
def test_checkpoint_gives_back_where_a_backfill_stood(at: Resume) -> None:
    stored = at.checkpoint("backfill:Product2", NOW)
    message = events.encode(stored, source="/test", now=NOW)

    assert resume.of(events.decode_checkpoint(message.value)) == at


@pytest.mark.parametrize("state", ["complete", "void"])
def test_ended_backfill_is_not_gone_on_with(state: Any) -> None:
    at = Resume(job_id="750000000000001AAA", r0_ms=1, margin_ms=0, selected="", least=0)

    assert resume.of(at.ended(state).checkpoint("Product2", NOW)) is None


def test_no_checkpoint_is_no_backfill_under_way() -> None:
    assert resume.of(None) is None
    assert resume.of(Checkpoint(name="x", written_at=NOW)) is None


@pytest.mark.parametrize(("rows", "calls"), [(0, 10), (20_000, 10), (20_001, 11), (80_000, 14), (1_000_000, 69)])
def test_plan_counts_a_call_for_each_page(rows: int, calls: int) -> None:
    assert plan.share("Product2", rows).calls == calls


def test_transactions_shrink_when_they_stay_open_too_long() -> None:
    assert copying.next_size(5_000, 1.0) == 2_500
    assert copying.next_size(2_500, 0.1) == 5_000
    assert copying.next_size(5_000, 0.5) == 5_000
    assert copying.next_size(100, 9.0) == 100


def test_outcome_can_be_printed() -> None:
    outcome = backfill.Outcome(object="Product2", state="PARTIAL", reason="why", token="t")

    assert msgspec.json.decode(msgspec.json.encode(outcome))["state"] == "PARTIAL"


LIMITS = {"DailyApiRequests": {"Max": 1_000, "Remaining": 450}, "DailyBulkV2QueryJobs": {"Max": 10, "Remaining": 2}}


def test_plan_stands_beside_what_the_class_may_still_use_today() -> None:
    left = plan.of_limits(LIMITS, floor=0.4)

    assert (left.usable, left.jobs_left) == (50, 2)
    assert plan.fits([plan.share("Product2", 400_000), plan.share("Account", 0)], left)
    assert not plan.fits([plan.share("Product2", 1_000_000)], left)
    assert not plan.fits([plan.share(name, 0) for name in ("Product2", "Account", "Order")], left)


def test_plan_of_an_org_that_tells_no_jobs_goes_by_calls() -> None:
    left = plan.of_limits({"DailyApiRequests": LIMITS["DailyApiRequests"]}, floor=0.45)

    assert (left.usable, left.jobs_left) == (0, None)
    assert not plan.fits([plan.share("Product2", 0)], left)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (BudgetRefused("floor"), "budget"),
        (LimitExceeded("daily", ""), "limit"),
        (DeadlinePassed(""), "deadline"),
        (Incomplete(""), "mismatch"),
        (lives.Mismatch(""), "mismatch"),
        (lives.Unproven(""), "unproven"),
        (Unavailable(""), "salesforce"),
    ],
)
async def test_every_failure_of_salesforce_is_partial_and_named(error: SalesforceError, why: str) -> None:
    class Failing:
        async def live(self) -> Outcome:
            raise error

        def partial(self, why: Why, reason: str) -> Outcome:
            return Outcome(object="Product2", state="PARTIAL", why=why, reason=reason)

    assert (await lives.run(Failing())).why == why


def test_job_whose_margin_is_not_known_is_not_gone_on_with() -> None:
    at = Resume(job_id="750000000000001AAA", r0_ms=1, margin_ms=5_000, selected="", least=0)
    stored = at.checkpoint("Product2", NOW, {"margin_ms": 30_000})
    resumed = resume.of(stored)
    del stored.job["read_margin_ms"]

    assert resumed is not None
    assert resumed.margin_ms == 5_000, "not that of the newest complete read, which the checkpoint keeps as well"
    assert resume.of(stored) is None


def test_rows_of_another_mapping_are_told_by_names_and_types() -> None:
    product = mapping.load().objects["Product2"]
    other = replace(product, fields={**product.fields, "Name": replace(product.fields["Name"], type="integer")})

    assert resume.selection(product) == resume.selection(replace(product))
    assert resume.selection(product) != resume.selection(other)
