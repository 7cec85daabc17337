"""`umbra replay` and `umbra rebuild` as a person and a program see them: plan, execute, refusal, stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas import topics
from services.ops import rebuild, replay
from services.ops.errors import CommandFailed
from services.ops.interrupts import STOPPED
from tests.integration.projector import harness, replaying
from tests.integration.projector.harness import product
from tests.integration.projector.process import ROOT, Stage, staged, writer
from tests.support import stack
from tests.support.eventually import eventually


@pytest.fixture
async def stage(kafka_bootstrap: str, postgres_dsn: str, valkey_url: str, tmp_path: Any) -> AsyncIterator[Stage]:
    """200 products in the log, projected."""
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    async with staged(kafka_bootstrap, postgres_dsn, valkey_url, tmp_path) as made, writer(kafka_bootstrap) as log:
        await log.write(*(product(number, f"S{number}") for number in range(200)))
        async with harness.opened(postgres_dsn) as bench, replaying.means(made) as means:
            await bench.connection.execute(
                "UPDATE projection_offset o SET epoch = e.epoch FROM topic_epoch e WHERE o.topic = e.topic"
            )
            await replaying.project(means, bench)
        yield made


def arguments(module: Any, stage: Stage, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    args = parser.parse_args(words)
    args.environ = {**stage.environment(), "UMBRA_POSTGRES_DSN": stage.dsn}
    args.json, args.command = True, "test"
    return args


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


async def test_replay_plans_first_and_does_what_it_planned(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--topic", topics.PRODUCT.name, "--from-beginning", "--rate", "100000")

    assert await replay.run(arguments(replay, stage, *words)) == 0
    plan = printed(capsys)["plan"]
    runs = await stage.value("SELECT count(*) FROM log_run")
    assert await replay.run(arguments(replay, stage, *words, "--execute")) == 0
    done = printed(capsys)["replay"]

    # A transaction's marker takes an offset in each partition.
    assert 200 <= plan["events"] <= 204
    assert (plan["rows"], plan["goes_on"], runs) == (200, False, 0)
    assert done == {"events": 200, "changed": 0, "letters": 0, "told": True, "left": 0}


async def test_what_was_interrupted_says_so_and_the_same_command_goes_on(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--topic", topics.PRODUCT.name, "--from-beginning", "--execute")
    environ = stage.environment() | {"UMBRA_POSTGRES_DSN": stage.dsn}
    command = (sys.executable, "-m", "services.ops", "replay", *words, "--rate", "50", "--json")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE)
    await eventually(lambda: stage.value("SELECT events FROM log_run WHERE events > 0"), within=30)

    process.send_signal(signal.SIGINT)
    out, _ = await process.communicate()
    assert await replay.run(arguments(replay, stage, *words)) == 0

    first, second = json.loads(out), printed(capsys)
    assert process.returncode == STOPPED
    assert not first["ok"]
    assert first["replay"]["left"] > 0
    assert second["replay"]["events"] == 200


async def test_what_cannot_be_done_is_refused_with_its_own_exit_code(stage: Stage) -> None:
    with pytest.raises(CommandFailed, match="no partition 9") as refused:
        await replay.run(arguments(replay, stage, "--topic", topics.PRODUCT.name, "--from-offset", "9:0"))
    assert refused.value.exit_code == replay.REFUSED

    with pytest.raises(CommandFailed, match="no complete full read of Product2") as refused:
        await rebuild.run(arguments(rebuild, stage, "Product2"))
    assert refused.value.exit_code == replay.REFUSED

    with pytest.raises(CommandFailed, match="never swapped"):
        await rebuild.run(arguments(rebuild, stage, "sf_product_shadow", "--roll-back", "--execute"))
