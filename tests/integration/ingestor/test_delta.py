"""A delta finds what no event told, closes the holes that it has seen, and never calls a doubt complete."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from schemas import ids, mapping
from schemas.events import RecordChange, Watermark
from schemas.join import join_all, state_of
from services.ingestor.jobs import backfill, delta
from services.ingestor.jobs.delta import job_name
from services.ingestor.jobs.means import Means
from services.salesforce.rest import Replicated, Rest
from tests.integration.ingestor import commands
from tests.integration.ingestor.harness import Log, unwatched
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

MARGIN_MS = 5_000
PRODUCT, ACCOUNT = (mapping.load().objects[name] for name in ("Product2", "Account"))


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """With the least margin, for a delta waits for it."""
    return {**environ, "UMBRA_READ_MARGIN_MS": str(MARGIN_MS)}


async def backfilled(environ: dict[str, str], *objects: str) -> None:
    code, said = await commands.run(environ, "backfill", "--object", *objects, "--execute")
    assert code == 0, said


async def command(environ: dict[str, str], *words: str) -> tuple[int, dict[str, Any]]:
    return await commands.run(environ, "delta", *words)


def of_delta(changes: list[RecordChange]) -> list[RecordChange]:
    return [change for change in changes if change.origin == "delta"]


def ends(marks: list[Watermark]) -> list[Watermark]:
    return [mark for mark in marks if mark.basis == "delta" and mark.phase == "end"]


async def test_lost_update_and_lost_delete_are_found(log: Log, means: Means, sim: Simulator) -> None:
    await backfill.run(means, PRODUCT, unwatched)
    products = sim.do("GET", "/records/Product2")["records"]
    changed, gone = products[0]["Id"], sim.do("POST", "/records/Product2", {"Name": "Brief"})["Id"]
    sim.do("PATCH", f"/records/Product2/{changed}", {"Name": "Changed without an event"})
    sim.do("DELETE", f"/records/Product2/{gone}")

    outcome = await delta.run(means, PRODUCT, unwatched)

    changes = await log.changes("Product2")
    states = {
        record_id: join_all(state_of(change) for change in changes if change.record_id == record_id)
        for record_id in (changed, gone)
    }
    assert outcome.state == "COMPLETE"
    assert states[changed].payload["Name"] == "Changed without an event"
    assert states[gone].deleted
    marks = ends(await log.watermarks("Product2"))
    assert [mark.counted for mark in marks] == [outcome.rows] * 4
    read = next(change for change in of_delta(changes) if change.record_id == changed)
    assert marks[0].covered_from is not None
    assert marks[0].covered_until is not None
    assert read.read_began_at is not None
    assert marks[0].covered_until <= read.read_began_at - timedelta(milliseconds=means.margin_ms)


class Telling(Rest):
    """Tells of some more deletions than there were."""

    more: Sequence[str] = ()

    async def deleted(self, *of: Any, **how: Any) -> Replicated:
        told = await super().deleted(*of, **how)
        return replace(told, ids=[*told.ids, *self.more])


async def test_deletion_that_the_read_does_not_show_is_confirmed_by_id(log: Log, means: Means, sim: Simulator) -> None:
    await backfill.run(means, PRODUCT, unwatched)
    gone, alive = ids.parse("01t00000000GONE"), sim.do("GET", "/records/Product2")["records"][0]["Id"]
    telling = Telling(means.rest._queue, means.rest._starts)
    telling.more = (gone, alive)

    outcome = await delta.run(replace(means, rest=telling), PRODUCT, unwatched)

    found = {change.record_id: change.kind for change in of_delta(await log.changes("Product2"))}
    assert (outcome.state, outcome.absent) == ("COMPLETE", 1)
    assert (found[gone], found[alive]) == ("absent", "snapshot")


async def test_second_delta_starts_where_the_first_one_was_covered(log: Log, means: Means) -> None:
    await backfill.run(means, ACCOUNT, unwatched)
    first = await delta.run(means, ACCOUNT, unwatched)

    second = await delta.run(means, ACCOUNT, unwatched)

    by_job = {mark.job_id: mark for mark in ends(await log.watermarks("Account"))}
    before, after = by_job[first.job_id], by_job[second.job_id]
    assert (first.state, second.state) == ("COMPLETE", "COMPLETE")
    assert before.covered_from is not None
    assert before.covered_until is not None
    assert after.covered_from is not None
    assert before.covered_from < after.covered_from <= before.covered_until


async def test_transaction_that_was_open_during_a_delta_is_found_by_the_next(
    log: Log, means: Means, sim: Simulator
) -> None:
    await backfill.run(means, PRODUCT, unwatched)
    record_id = sim.do("GET", "/records/Product2")["records"][0]["Id"]
    transaction = sim.do("POST", "/oddities/begin", {})
    late = {"op": "update", "object": "Product2", "id": record_id, "fields": {"Name": "Late"}}
    sim.do("POST", "/oddities/operate", {**transaction, "operations": [late]})
    sim.do("POST", "/clock", {"offset_ms": 300_000})
    first = await delta.run(means, PRODUCT, unwatched)
    sim.do("POST", "/oddities/commit", transaction)

    second = await delta.run(means, PRODUCT, unwatched)

    names = {c.job_id: c.fields["Name"] for c in of_delta(await log.changes("Product2")) if c.record_id == record_id}
    assert (first.state, second.state) == ("COMPLETE", "COMPLETE")
    assert names == {second.job_id: "Late"}


@pytest.mark.long
async def test_object_never_read_in_full_is_refused(log: Log, environ: dict[str, str]) -> None:
    code, said = await command(environ, "--object", "Product2", "--execute")
    planned, plan = await command(environ, "--object", "Product2")

    [outcome] = said["outcomes"]
    assert (code, outcome["state"], outcome["why"]) == (4, "PARTIAL", "unproven")
    assert (planned, plan["full_read_first"][0]["object"]) == (6, "Product2")
    assert await log.of("Product2") == ([], [])


@pytest.mark.long
async def test_plan_says_since_when_and_reads_nothing(log: Log, environ: dict[str, str], sim: Simulator) -> None:
    await backfilled(environ, "Product2")
    before = len(await log.changes("Product2"))
    sim.do("POST", "/records/Product2", {"Name": "New"})

    code, said = await command(environ, "--object", "Product2")

    assert (code, said["plan"][0]["rows"], said["plan"][0]["jobs"]) == (0, 1, 0)
    assert len(await log.changes("Product2")) == before


async def test_hole_with_a_start_is_closed_and_an_overflow_is_not(log: Log, means: Means) -> None:
    await backfill.run(means, PRODUCT, unwatched)
    connection = await asyncpg.connect(means.dsn)
    await connection.execute(
        "INSERT INTO coverage_hole (object, partition, hole_id, hole_from, hole_to, opened) VALUES"
        " ('Product2', 0, 'replay:0a', now() - interval '2 h', now() - interval '1 h', true),"
        " ('Product2', 0, 'overflow:0b', now() - interval '2 h', now() - interval '1 h', true),"
        " ('Product2', 0, 'undecodable:0c', now(), now() + interval '1 h', true),"
        " ('Product2', 0, 'replay:0d', NULL, now() - interval '1 h', true)"
    )
    begun = await connection.fetchval("SELECT min(hole_from) FROM coverage_hole")
    await connection.close()

    outcome = await delta.run(means, PRODUCT, unwatched)

    mark = ends(await log.watermarks("Product2"))[0]
    assert (outcome.closed, tuple(mark.closes)) == (("replay:0a",), ("replay:0a",))
    assert mark.covered_from is not None
    assert mark.covered_from < begun


async def test_large_delta_goes_by_bulk_and_on_at_the_very_row(log: Log, means: Means, sim: Simulator) -> None:
    await backfill.run(means, PRODUCT, unwatched)
    names = [f"New {nth}" for nth in range(5)]
    made = {sim.do("POST", "/records/Product2", {"Name": name})["Id"] for name in names}
    sim.do("POST", "/faults", {"fault": "rest.refuse", "reason": "not_found", "match": "GET /jobs/query/*/results"})
    broken = await delta.run(means, PRODUCT, unwatched, most_by_rest=1)
    sim.do("DELETE", "/faults")

    whole = await delta.run(means, PRODUCT, unwatched, most_by_rest=1)

    changes = of_delta(await log.changes("Product2"))
    assert (broken.state, whole.state, whole.rows) == ("PARTIAL", "COMPLETE", len(made))
    assert {change.record_id for change in changes} == made
    assert len({change.job_id for change in changes}) == 1
    assert ends(await log.watermarks("Product2"))[0].counted == len(made)


@pytest.mark.long
async def test_refused_by_the_budget_it_is_partial_and_claims_nothing(log: Log, environ: dict[str, str]) -> None:
    await backfilled(environ, "Product2")

    code, said = await command(
        {**environ, "UMBRA_SALESFORCE_FLOOR_DELTA": "0.999999"}, "--object", "Product2", "--execute"
    )

    [outcome] = said["outcomes"]
    assert (code, outcome["state"], outcome["why"], outcome["token"]) == (4, "PARTIAL", "budget", job_name("Product2"))
    assert ends(await log.watermarks("Product2")) == []


@pytest.mark.long
async def test_killed_delta_is_done_by_the_next_one(log: Log, environ: dict[str, str], sim: Simulator) -> None:
    await backfilled(environ, "Product2")
    name = sim.do("GET", "/records/Product2")["records"][0]["Id"]
    sim.do("PATCH", f"/records/Product2/{name}", {"Name": "New"})
    process = await commands.start(environ, "delta", "--object", "Product2", "--execute")
    await eventually(lambda: any("updated" in route for route in sim.do("GET", "/state")["rest_calls"]), within=20)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert ends(await log.watermarks("Product2")) == []

    code, _ = await command(environ, "--object", "Product2", "--execute")

    assert code == 0
    assert {
        change.fields["Name"] for change in of_delta(await log.changes("Product2")) if change.record_id == name
    } == {"New"}


@pytest.mark.long
async def test_two_deltas_at_once_end_as_one(log: Log, means: Means) -> None:
    await backfill.run(means, ACCOUNT, unwatched)

    both = await asyncio.gather(*(delta.run(means, ACCOUNT, unwatched) for _ in range(2)))

    assert sorted(outcome.why or "complete" for outcome in both) == ["complete", "fenced"]
