"""A full read with its anti-join tells what is gone without an event, and claims nothing before that is in the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from schemas import ids, mapping, topics, versions
from schemas.events import RecordChange
from services.ingestor.jobs import backfill, delta, full
from services.ingestor.jobs.means import Means
from services.kernel.clock import SetClock
from services.salesforce import changes
from tests.integration.ingestor.harness import Log, unwatched
from tests.integration.projector.process import Stage, eventually_row, staged, writer
from tests.support.salesforce_sim import Simulator

PRODUCT = mapping.load().objects["Product2"]
GONE = ids.parse("01t00000000GONE")
SHOWN = "SELECT count(*) FROM sf_product_shadow WHERE product_id = $1"


@pytest.fixture
async def stage(means: Means, valkey_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(means.kafka.bootstrap, means.dsn, valkey_url, tmp_path) as made:
        yield made


def ghost(record_id: str = GONE, sku: str = "GHOST") -> RecordChange:
    """What an earlier read saw of a record that Salesforce no longer has, not even as deleted."""
    record = {
        "Id": record_id,
        "IsDeleted": False,
        **dict.fromkeys(PRODUCT.fields),
        "StockKeepingUnit": sku,
        "Name": sku,
    }
    return changes.snapshot(PRODUCT, record, r0_ms=versions.millis(EARLIER), origin="backfill")


EARLIER = versions.moment(1_700_000_000_000)


async def test_hard_delete_is_found_and_only_then_claimed(log: Log, means: Means, stage: Stage, sim: Simulator) -> None:
    async with writer(means.kafka.bootstrap) as out:
        await out.write(ghost())
    await stage.start()
    await eventually_row(stage, SHOWN, 1, GONE)

    outcome = await full.run(means, PRODUCT, unwatched)

    changes_, marks = await log.of("Product2")
    assert (outcome.state, outcome.absent) == ("COMPLETE", 1)
    assert [change.record_id for change in changes_ if change.kind == "absent"] == [GONE]
    await eventually_row(stage, SHOWN, 0, GONE)
    said = [mark for mark in marks if mark.job_id == outcome.job_id]
    assert [mark.covered_until is not None for mark in said] == [False, False, True] * 4
    query = "SELECT count(*) FROM sf_product_shadow"
    shown = [each for each in sim.do("GET", "/records/Product2")["records"] if each["StockKeepingUnit"]]
    await eventually_row(stage, query, len(shown))


@pytest.mark.long
async def test_record_deleted_for_good_is_missed_by_a_delta_and_found_by_a_full_read(
    log: Log, means: Means, stage: Stage, sim: Simulator
) -> None:
    await stage.start()
    await backfill.run(means, PRODUCT, unwatched)
    record_id = sim.do("POST", "/records/Product2", {"Name": "Brief", "StockKeepingUnit": "BRIEF"})["Id"]
    await delta.run(means, PRODUCT, unwatched)
    await eventually_row(stage, SHOWN, 1, record_id)
    sim.do("POST", "/oddities/hard-delete", {"object": "Product2", "ids": [record_id]})

    by_delta = await delta.run(means, PRODUCT, unwatched)
    by_full = await full.run(means, PRODUCT, unwatched)

    assert (by_delta.absent, by_full.absent) == (0, 1)
    await eventually_row(stage, SHOWN, 0, record_id)


@pytest.mark.long
async def test_backfill_alone_leaves_what_is_gone(log: Log, means: Means) -> None:
    async with writer(means.kafka.bootstrap) as out:
        await out.write(ghost())

    outcome = await backfill.run(means, PRODUCT, unwatched)

    assert (outcome.state, outcome.absent) == ("COMPLETE", 0)
    assert not [change for change in await log.changes("Product2") if change.kind == "absent"]


async def test_without_a_projector_it_is_partial_and_goes_on_without_reading_again(
    log: Log, means: Means, stage: Stage
) -> None:
    broken = await full.run(replace(means, job_seconds=2.0), PRODUCT, unwatched)
    claimed = [mark for mark in await log.watermarks("Product2") if mark.covered_until is not None]
    await stage.start()

    whole = await full.run(means, PRODUCT, unwatched)

    assert (broken.state, broken.why, claimed) == ("PARTIAL", "postgres", [])
    assert (whole.state, whole.job_id, whole.rows) == ("COMPLETE", broken.job_id, broken.rows)
    assert len(await log.changes("Product2")) == whole.rows


@pytest.mark.long
async def test_read_that_waited_a_day_for_its_end_is_done_anew(log: Log, means: Means, stage: Stage) -> None:
    clock = SetClock(means.clock.now())
    means = replace(means, clock=clock)
    broken = await full.run(replace(means, job_seconds=2.0), PRODUCT, unwatched)
    clock.advance(25 * 3_600)
    await stage.start()

    whole = await full.run(means, PRODUCT, unwatched)

    assert (broken.state, whole.state) == ("PARTIAL", "COMPLETE")
    assert whole.job_id != broken.job_id


@pytest.mark.long
async def test_very_many_gone_at_once_are_not_believed_unless_somebody_says_so(
    log: Log, means: Means, stage: Stage
) -> None:
    await stage.connection.execute(
        "INSERT INTO sf_record (object, record_id, payload, base)"
        " SELECT 'Product2', '01tGHOST' || lpad(n::text, 10, '0'), '{\"IsDeleted\": false}', $1"
        " FROM generate_series(1, 2500) AS n",
        ghost().version,
    )
    await stage.start()

    doubted = await full.run(means, PRODUCT, unwatched)
    ends = [mark for mark in await log.watermarks("Product2") if mark.phase == "end"]
    topic = topics.RECORD_TOPICS["Product2"].name

    assert (doubted.state, doubted.why, ends) == ("PARTIAL", "unproven", [])
    assert doubted.reason is not None
    assert "2500" in doubted.reason
    assert await stage.value("SELECT count(*) FROM projection_offset WHERE topic = $1", topic) == 4
