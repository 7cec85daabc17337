"""Verify finds what the shadow lacks, has too much or has wrong, in few calls where little is, and repairs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas import ids, mapping, versions
from services.ingestor.jobs import backfill, verify
from services.ingestor.jobs.compare import Difference
from services.ingestor.jobs.means import Means
from services.ingestor.jobs.verify import Report, Wish
from tests.integration.ingestor import commands
from tests.integration.ingestor.harness import Log, unwatched
from tests.integration.projector.process import Stage, eventually_row, staged
from tests.support import salesforce_sim, stack
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

PRODUCT = mapping.load().objects["Product2"]
PRODUCTS = 300
RANGES = Wish(few=0)
"""As for objects so large that comparing all rows would cost more."""
EXTRA = ids.parse("01t00000000GONE")
ALIVE = "SELECT count(*) FROM sf_record WHERE object = 'Product2' AND payload->'IsDeleted' = 'false'"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    options = ("--products", str(PRODUCTS))
    with stack.scratch("org") as state, salesforce_sim.running(state / "org", *options) as running:
        yield running


@pytest.fixture
async def stage(log: Log, means: Means, valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """With a projector that has applied a backfill of all products."""
    async with staged(means.kafka.bootstrap, means.dsn, valkey_url, tmp_path) as made:
        await made.start()
        await backfill.run(means, PRODUCT, unwatched)
        await eventually_row(made, ALIVE, PRODUCTS, within=30)
        yield made


async def spoil(stage: Stage) -> dict[str, Difference]:
    """One record that the shadow lacks, one that it has too much, one field that it has wrong."""
    rows = await stage.connection.fetch("SELECT record_id FROM sf_record WHERE object = 'Product2' ORDER BY record_id")
    missing, changed = rows[100][0], rows[200][0]
    await stage.connection.execute("DELETE FROM sf_record WHERE object = 'Product2' AND record_id = $1", missing)
    await stage.connection.execute(
        'UPDATE sf_record SET payload = payload || \'{"Name": "Wrong"}\''
        " WHERE object = 'Product2' AND record_id = $1",
        changed,
    )
    await stage.connection.execute(
        "INSERT INTO sf_record (object, record_id, payload, base)"
        " VALUES ('Product2', $1, '{\"IsDeleted\": false}', $2)",
        EXTRA,
        versions.read_version(1_700_000_000_000),
    )
    found = (Difference(missing, "missing"), Difference(EXTRA, "extra"), Difference(changed, "changed", ("Name",)))
    return {each.kind: each for each in found}


def shown(report: Report) -> dict[str, Difference]:
    return {each.kind: each for each in report.differences}


async def test_same_sides_cost_counts_of_ranges_and_no_rows(stage: Stage, means: Means) -> None:
    report = await verify.run(means, PRODUCT, RANGES)

    assert (report.state, report.differing, report.rows) == ("COMPLETE", 0, 0)
    assert report.org == report.shadow == PRODUCTS
    assert (report.calls, report.ranges) == (6, 26)


@pytest.mark.long
async def test_few_rows_are_all_compared_for_a_call_a_page(stage: Stage, means: Means) -> None:
    planned = await verify.planned(means, PRODUCT, Wish())

    report = await verify.run(means, PRODUCT, Wish())

    assert (report.state, report.differing, report.rows, report.calls) == ("COMPLETE", 0, PRODUCTS, 2)
    assert planned.least_calls <= report.calls <= planned.most_calls


async def test_differences_are_found_repaired_through_the_log_and_gone(stage: Stage, means: Means, log: Log) -> None:
    spoilt = await spoil(stage)

    found = await verify.run(means, PRODUCT, Wish())
    repaired = await verify.run(means, PRODUCT, Wish(repair=True))

    assert (found.state, shown(found), found.repaired) == ("COMPLETE", spoilt, 0)
    assert (repaired.differing, repaired.repaired) == (3, 3)
    written = [change for change in await log.changes("Product2") if change.origin == "repair"]
    assert {change.record_id for change in written} == {each.record_id for each in spoilt.values()}

    async def same() -> bool:
        again = await verify.run(means, PRODUCT, Wish())
        assert again.differing == 0, again.differences
        return True

    await eventually(same, within=20)


@pytest.mark.long
async def test_only_ranges_that_differ_are_read_by_rows(stage: Stage, means: Means, sim: Simulator) -> None:
    spoilt = await spoil(stage)

    report = await verify.run(means, PRODUCT, RANGES)

    assert {spoilt["missing"], spoilt["extra"]} <= set(report.differences)
    assert 0 < report.rows < 50


async def test_lost_update_shows_by_its_stamp_unless_it_is_too_young(
    stage: Stage, means: Means, sim: Simulator
) -> None:
    record_id = sim.do("GET", "/records/Product2")["records"][99]["Id"]
    sim.do("PATCH", f"/records/Product2/{record_id}", {"Name": "No event told"})

    young = await verify.run(replace(means, margin_ms=60_000), PRODUCT, RANGES)

    async def found() -> bool:
        report = await verify.run(means, PRODUCT, RANGES)
        return report.differences == (Difference(record_id, "changed", ("Name",)),)

    assert (young.differing, young.young) == (0, 1)
    await eventually(found, within=10)


@pytest.mark.long
async def test_too_much_to_look_at_is_partial_and_goes_on_from_its_token(stage: Stage, means: Means) -> None:
    await stage.connection.execute('UPDATE sf_record SET payload = payload || \'{"Name": "Wrong"}\'')

    first = await verify.run(means, PRODUCT, Wish(most_rows=100))
    assert first.token is not None
    _, start = verify.object_of(first.token)
    whole = await verify.run(means, PRODUCT, Wish())

    assert (first.state, first.why, start) == ("PARTIAL", "limit", "")
    assert (whole.state, whole.differing, len(whole.differences)) == ("COMPLETE", PRODUCTS, 100)


@pytest.mark.long
async def test_command_says_by_its_exit_code_whether_something_differs(
    stage: Stage, environ: dict[str, str], means: Means
) -> None:
    environ = {**environ, "UMBRA_POSTGRES_DSN": means.dsn, "UMBRA_READ_MARGIN_MS": "5000"}

    async def verified(*words: str) -> tuple[int, dict[str, Any]]:
        return await commands.run(environ, "verify", "--object", "Product2", *words)

    planned, plan = await verified("--plan")
    same, _ = await verified()
    await spoil(stage)
    different, said = await verified()
    executed, repaired = await verified("--repair", "--execute")

    assert (planned, same, different, executed) == (0, 0, 7, 0)
    assert plan["plan"][0]["least_calls"] < plan["plan"][0]["most_calls"]
    assert (said["ok"], said["reports"][0]["differing"], repaired["reports"][0]["repaired"]) == (False, 3, 3)
