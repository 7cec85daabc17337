"""A full read puts every record into the log, says so only when the counts agree, and goes on after a kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from schemas import topics, versions
from schemas.events import Watermark
from services.ingestor.jobs.resume import job_name
from tests.integration.ingestor import commands
from tests.integration.ingestor.harness import Ingestor, Log
from tests.support import salesforce_sim, stack
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

PRODUCTS = 12_500


async def start(environ: dict[str, str], *words: str) -> asyncio.subprocess.Process:
    return await commands.start(environ, "backfill", *words)


async def command(environ: dict[str, str], *words: str) -> tuple[int, dict[str, Any]]:
    return await commands.run(environ, "backfill", *words)


def ended(marks: list[Watermark]) -> list[Watermark]:
    return [mark for mark in marks if mark.basis == "full" and mark.phase == "end"]


async def test_plan_counts_and_reads_nothing(log: Log, environ: dict[str, str], sim: Simulator) -> None:
    code, said = await command(environ, "--object", "Product2", "Account")

    products = len(sim.do("GET", "/records/Product2")["records"])
    assert (code, said["ok"]) == (0, True)
    share = said["plan"][0]
    assert (share["object"], share["rows"], share["jobs"]) == ("Product2", products, 1)
    assert said["total"]["calls"] == sum(each["calls"] for each in said["plan"])
    assert said["allowance"]["enough"] is True
    assert said["allowance"]["usable"] < said["allowance"]["calls_left"] <= said["allowance"]["calls_most"]
    assert await log.of("Product2") == ([], [])


async def test_every_object_is_read_whole(log: Log, environ: dict[str, str], sim: Simulator) -> None:
    sim.do("DELETE", f"/records/Account/{sim.do('POST', '/records/Account', {'Name': 'Gone'})['Id']}")

    code, said = await command(environ, "--all", "--execute")

    assert (code, {outcome["state"] for outcome in said["outcomes"]}) == (0, {"COMPLETE"})
    for name in topics.RECORD_TOPICS:
        records = {record["Id"]: record for record in sim.do("GET", f"/records/{name}")["records"]}
        changes, marks = await log.of(name)
        assert {change.record_id: change.fields["IsDeleted"] for change in changes} == {
            record_id: record["IsDeleted"] for record_id, record in records.items()
        }
        assert len(changes) == len(records)
        assert {(change.kind, change.covers, change.origin) for change in changes} == {("snapshot", "all", "backfill")}
        assert len(ended(marks)) == topics.RECORD_TOPICS[name].partitions
        end = ended(marks)[0]
        assert end.counted == len(records)
        assert end.covered_until is not None
        assert {versions.at_ms(change.version) - 1 for change in changes} == {versions.millis(end.covered_until)}


def _latest_r0(end: Watermark) -> int:
    """What is proven has whole seconds: the read began within one."""
    assert end.covered_until is not None
    return versions.millis(end.covered_until) + versions.DEFAULT_MARGIN_MS + 1000


async def test_first_start_of_a_stream_is_closed_by_a_backfill_after_it(
    log: Log, environ: dict[str, str], ingestor: Ingestor
) -> None:
    opened = await log.watermarks("Product2")

    await command(environ, "--object", "Product2", "--execute")

    hole_id = opened[0].hole_id or ""
    assert hole_id.startswith("first:/data/Product2ChangeEvent:")
    assert [mark.hole_id for mark in opened] == [hole_id] * 4
    assert all(mark.hole_from is None and mark.hole_to is not None for mark in opened)
    ends = ended(await log.watermarks("Product2"))
    assert [tuple(mark.closes) for mark in ends] == [(hole_id,)] * 4
    assert opened[0].hole_to is not None
    assert versions.millis(opened[0].hole_to) <= _latest_r0(ends[0])


async def test_backfill_before_the_stream_closes_nothing(log: Log, environ: dict[str, str]) -> None:
    await command(environ, "--object", "Product2", "--execute")

    assert [tuple(mark.closes) for mark in ended(await log.watermarks("Product2"))] == [()] * 4


async def test_without_an_anti_join_only_a_first_start_that_the_read_has_seen_is_closed(
    log: Log, environ: dict[str, str], postgres_dsn: str
) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    opened = "INSERT INTO coverage_hole (object, partition, hole_id, hole_from, hole_to, opened) VALUES "
    await connection.execute(
        opened + "('Product2', 0, 'overflow:old', now() - interval '2 h', now() - interval '1 h', true),"
        "('Product2', 0, 'first:old', now() - interval '2 h', now() - interval '1 h', true),"
        "('Product2', 0, 'first:future', now(), now() + interval '1 h', true),"
        "('Account', 0, 'overflow:other', now() - interval '2 h', now() - interval '1 h', true)"
    )
    await connection.close()

    await command({**environ, "UMBRA_POSTGRES_DSN": postgres_dsn}, "--object", "Product2", "--execute")

    assert [tuple(mark.closes) for mark in ended(await log.watermarks("Product2"))] == [("first:old",)] * 4


async def test_statuses_whose_events_were_lost_are_told_as_observed(
    log: Log, environ: dict[str, str], sim: Simulator, postgres_dsn: str
) -> None:
    status_of = {each["Id"]: each["Status"] for each in sim.do("GET", "/records/Order")["records"]}
    lost, told, newer = list(status_of)[:3]
    future = versions.event_version(9_999_999_999_999, 1, 1)
    long_ago = versions.read_version(1_700_000_000_000)
    connection = await asyncpg.connect(postgres_dsn)
    await connection.executemany(
        "INSERT INTO sf_record (object, record_id, payload, base) VALUES"
        " ('Order', $1, jsonb_build_object('Status', $2::text), $3)",
        [(lost, "Elsewhere", long_ago), (told, status_of[told], long_ago), (newer, "Elsewhere", future)],
    )
    await connection.close()

    code, _ = await command({**environ, "UMBRA_POSTGRES_DSN": postgres_dsn}, "--object", "Order", "--execute")

    changes = {change.record_id: change for change in await log.changes("Order")}
    [status] = await log.statuses()
    assert (code, len(changes)) == (0, len(status_of))
    assert (status.order_id, status.status, status.kind) == (lost, status_of[lost], "observed")
    stamp = changes[lost].system_modstamp
    assert stamp is not None
    assert versions.millis(status.occurred_at) == min(versions.at_ms(changes[lost].version), versions.millis(stamp))


class TestLargeOrg:
    @pytest.fixture
    def sim(self) -> Iterator[Simulator]:
        with (
            stack.scratch("org") as state,
            salesforce_sim.running(state / "org", "--products", str(PRODUCTS), "--log-level", "WARNING") as running,
        ):
            yield running

    async def test_killed_backfill_goes_on_at_the_very_row(
        self, log: Log, environ: dict[str, str], sim: Simulator
    ) -> None:
        name = job_name("PricebookEntry")
        first = await start(environ, "--object", "PricebookEntry", "--execute")

        async def under_way() -> bool:
            stored = await log.checkpoints(name)
            return bool(stored) and stored[-1].job["before"] + stored[-1].job["done"] > 10_000

        await eventually(under_way, within=60)
        os.kill(first.pid, signal.SIGKILL)
        await first.wait()
        code, said = await command(environ, "--object", "PricebookEntry", "--execute")

        (outcome,) = said["outcomes"]
        changes, marks = await log.of("PricebookEntry")
        stored = await log.checkpoints(name)
        assert (code, outcome["state"]) == (0, "COMPLETE")
        assert {checkpoint.job_id for checkpoint in stored} == {outcome["job_id"]}
        assert len(changes) == len({change.record_id for change in changes}) == outcome["rows"]
        assert outcome["rows"] == len(sim.do("GET", "/records/PricebookEntry")["records"])
        assert len([mark for mark in marks if mark.phase == "start"]) == 4
        assert len(ended(marks)) == 4


async def test_org_that_goes_away_leaves_a_partial_run_that_can_go_on(
    log: Log, environ: dict[str, str], sim: Simulator
) -> None:
    sim.do("POST", "/switch", {"salesforce": "off"})
    process = await start(environ, "--object", "Product2", "--execute", "--within", "0.05")
    out, err = await process.communicate()

    assert process.returncode != 0, err
    assert json.loads(out)["ok"] is False
    assert ended(await log.watermarks("Product2")) == []

    sim.do("POST", "/switch", {"salesforce": "on"})
    code, said = await command(environ, "--object", "Product2", "--execute")
    assert (code, said["outcomes"][0]["state"]) == (0, "COMPLETE")
