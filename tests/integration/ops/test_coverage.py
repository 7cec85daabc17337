"""`umbra coverage` prints what the ledger holds, for a person and for a program."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas import topics, versions
from schemas.events import Checkpoint, Watermark, stamp
from services.ingestor import outgoing, transactions
from services.ingestor.jobs import delta, resume
from services.kernel.settings import KafkaSettings, load
from services.ops import coverage, covered
from services.ops.errors import CommandFailed
from tests.integration.projector import harness
from tests.integration.projector.harness import Bench, Log
from tests.support import stack

FIRST = "first:/data/Product2ChangeEvent:1"
NOWHERE = "127.0.0.1:1"


def at(seconds: int) -> datetime:
    return versions.moment(harness.T0 + seconds * 1000)


def mark(basis: Any, **said: Any) -> Watermark:
    return Watermark(object="Product2", basis=basis, origin="cdc", **said)


LEDGER = (
    mark("hole", hole_id=FIRST, hole_to=at(0), reason="first start"),
    mark("stream", covered_from=at(0), covered_until=at(60), replay_id="0a"),
    mark("full", covered_until=at(50), job_id="7505g000003RjFgAAK", phase="end", closes=(FIRST,)),
    mark("hole", hole_id="replay:0a:1", hole_from=at(60), hole_to=at(90), reason="corrupted"),
    mark("hole", hole_id="overflow:0b", hole_from=at(95), hole_to=at(95), reason="overflow"),
    mark("stream", covered_from=at(90), covered_until=at(120), replay_id="0c"),
    mark("delta", covered_from=at(40), covered_until=at(70), job_id="rest:1", phase="end"),
)


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with harness.opened(postgres_dsn) as made:
        await made.apply(Log().append(*LEDGER))
        yield made


@pytest.fixture
async def environ(bench: Bench, kafka_bootstrap: str, postgres_dsn: str) -> dict[str, str]:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    return {"UMBRA_KAFKA_BOOTSTRAP": kafka_bootstrap, "UMBRA_POSTGRES_DSN": postgres_dsn}


async def printed(
    capsys: pytest.CaptureFixture[str], environ: dict[str, str], *objects: str, as_json: bool = False
) -> str:
    args = argparse.Namespace(environ=environ, objects=list(objects), json=as_json, command="coverage")
    assert await coverage.run(args) == 0
    return capsys.readouterr().out


async def test_a_person_reads_ranges_what_covers_them_and_what_closes_a_hole(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (await printed(capsys, environ, "Product2")).splitlines()

    assert lines[0] == "Product2"
    (text, *_) = [line for line in lines if line.startswith("  proven")]
    assert f"since ever to {stamp(at(70))}" in text
    observed = [line for line in lines if line.startswith("  observed")]
    assert [stamp(at(60)) in line for line in observed] == [False, False, True]
    assert any("replay ids 0a to 0a" in line for line in lines)
    assert any("job 7505g000003RjFgAAK" in line for line in lines)
    hole = lines.index("  hole      replay:0a:1")
    assert "Salesforce no longer knew where the stream stood" in lines[hole + 1]
    assert "umbra delta --object Product2 --execute" in lines[hole + 2]
    assert stamp(at(121)) in lines[hole + 2], "the least start of a read that proves it: a second and M later"
    hole = lines.index("  hole      overflow:0b")
    assert "umbra backfill --object Product2 --execute" in lines[hole + 2]


async def test_a_program_reads_the_same(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(await printed(capsys, environ, "Product2", as_json=True))

    (product,) = document["objects"]
    assert product["proven"] == [{"from": None, "until": stamp(at(70))}]
    assert product["observed"] == [
        {"from": stamp(at(0)), "until": stamp(at(60))},
        {"from": stamp(at(90)), "until": stamp(at(95))},
        {"from": stamp(at(95)), "until": stamp(at(120))},
    ]
    assert {span["basis"] for span in product["by"]} == {"stream", "delta", "full"}
    assert [hole["closedBy"] for hole in product["holes"]] == ["delta", "full"]
    assert product["next"]["kind"] == "full"
    assert product["next"]["since"] is None


async def test_status_advises_what_closes_the_holes_that_are_there(environ: dict[str, str]) -> None:
    found = await covered.look(environ["UMBRA_POSTGRES_DSN"])

    assert found is not None
    (product,) = [each for each in found if each.object == "Product2"]
    assert product.open_holes == 2
    assert "umbra backfill --object Product2 --execute" in (product.advice or "")


async def test_an_object_without_any_watermark_is_never_covered(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(await printed(capsys, environ, as_json=True))

    assert {each["object"] for each in document["objects"]} == set(topics.RECORD_TOPICS)
    (account,) = [each for each in document["objects"] if each["object"] == "Account"]
    assert (account["observed"], account["proven"], account["holes"]) == ([], [], [])


async def test_what_comes_next_is_known_from_the_log(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = delta.job_name("Product2")
    now_ms = versions.millis(datetime.now(UTC))
    told = [
        Checkpoint(name=name, written_at=at(0), job={"next_ms": harness.T0, "done_ms": now_ms}),
        Checkpoint(name=resume.job_name("Product2"), written_at=at(0), job={"done_ms": now_ms}),
    ]
    kafka = load(KafkaSettings, environ)
    async with transactions.opened(kafka, transactions.id_of(name)) as held:
        await held.commit([outgoing.checkpoint(each, topics.JOBS_PARTITION, at(0)) for each in told])

    document = json.loads(await printed(capsys, environ, "Product2", as_json=True))

    following = document["objects"][0]["next"]
    assert (following["known"], following["kind"], following["since"]) == (True, "delta", stamp(at(0)))
    assert following["at"] > stamp(versions.moment(now_ms))


async def test_the_ledger_is_printed_while_the_log_is_away(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = await printed(capsys, {**environ, "UMBRA_KAFKA_BOOTSTRAP": NOWHERE}, "Product2")

    assert "since ever to" in text
    assert "the log does not answer" in text


async def test_postgres_away_and_unknown_objects_are_said(environ: dict[str, str]) -> None:
    away = {**environ, "UMBRA_POSTGRES_DSN": f"postgresql://nobody@{NOWHERE}/none"}

    with pytest.raises(CommandFailed, match="Postgres does not answer"):
        await coverage.run(argparse.Namespace(environ=away, objects=[], json=False))
    with pytest.raises(CommandFailed, match="not shadowed: Lead") as failed:
        await coverage.run(argparse.Namespace(environ=environ, objects=["Lead"], json=False))
    assert failed.value.exit_code == 2
