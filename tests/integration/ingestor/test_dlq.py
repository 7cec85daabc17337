"""`umbra dlq`: an event that could not be decoded is fetched again, once, and its hole is closed with it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas import mapping
from services.ingestor.repair import letters
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings
from services.ops import __main__ as umbra
from tests.integration.ingestor import harness
from tests.integration.ingestor.harness import Log
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator

PRODUCTS = "/data/Product2ChangeEvent"


@dataclass(frozen=True, slots=True)
class Command:
    """The command line of somebody who runs this installation."""

    environ: dict[str, str]
    capsys: pytest.CaptureFixture[str]

    async def __call__(self, *words: str, **more: str) -> tuple[int, dict[str, Any]]:
        code = await asyncio.to_thread(umbra.main, ["dlq", *words, "--json"], {**self.environ, **more})
        return code, json.loads(self.capsys.readouterr().out)


@pytest.fixture
def dlq(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(environ, capsys)


def wrong_mapping(path: Path) -> Path:
    """A mapping under which a plan tier has to be a number."""
    good = mapping.DEFAULT_FILE.read_text(encoding="utf-8")
    line = next(line for line in good.splitlines() if line.startswith("Plan_Tier__c"))
    bad = good.replace(line, line.replace('"text"', '"decimal"') if '"text"' in line else line)
    assert bad != good
    path.write_text(bad, encoding="utf-8")
    return path


@pytest.fixture
async def undecodable(log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path) -> tuple[str, str]:
    """Id of the letter of an event that a wrong mapping could not read, and of its record."""
    broken = {**environ, "UMBRA_MAPPING_FILE": str(wrong_mapping(tmp_path / "mapping.toml"))}
    async with harness.ingesting(broken, tmp_path / "log") as ingestor:
        await ingestor.ready()
        sim.do("POST", "/records/Product2", {"Name": "Before"})
        made = sim.do("POST", "/records/Product2", {"Name": "Broken", "Plan_Tier__c": "Gold"})
        sim.do("POST", "/records/Product2", {"Name": "After"})

        async def all_three() -> bool:
            return len(await log.changes("Product2")) == 2 and len(await log.dead_letters()) == 1

        await eventually(all_three, within=15)
    (letter,) = await log.dead_letters()
    return f"{PRODUCTS}:{letter.replay_id}", made["Id"]


async def test_event_is_fetched_again_written_once_and_closes_its_hole(
    log: Log, sim: Simulator, dlq: Command, undecodable: tuple[str, str]
) -> None:
    letter_id, record_id = undecodable
    _, listed = await dlq("list")
    assert [(case["id"], case["state"]) for case in listed["letters"]] == [(letter_id, "open")]
    assert "Gold" not in json.dumps(listed)

    code, planned = await dlq("retry", letter_id)
    assert (code, planned["plan"]) == (0, "retry")
    assert len(await log.changes("Product2")) == 2

    delivered = sim.do("GET", "/state")["delivered_events"][PRODUCTS]
    code, done = await dlq("retry", letter_id, "--execute")
    assert (code, done["deliveries"], done["changes"]) == (0, 1, 1)
    assert sim.do("GET", "/state")["delivered_events"][PRODUCTS] == delivered + 1

    changes, marks = await log.of("Product2")
    (change,) = [change for change in changes if change.record_id == record_id]
    assert (change.kind, change.fields["Plan_Tier__c"]) == ("create", "Gold")
    opened = {mark.hole_id for mark in marks if mark.hole_id and mark.hole_id.startswith("undecodable")}
    assert opened == set(done["closed"]) == {hole for mark in marks for hole in mark.closes}

    assert (await dlq("list"))[1]["letters"] == []
    code, refused = await dlq("retry", letter_id, "--execute")
    assert (code, refused["error"]) == (4, "it is retried already")
    assert len(await log.changes("Product2")) == 3


@pytest.mark.long
async def test_event_that_still_cannot_be_decoded_stays_open(
    log: Log, dlq: Command, undecodable: tuple[str, str], tmp_path: Path
) -> None:
    letter_id, _ = undecodable

    code, refused = await dlq("retry", letter_id, "--execute", UMBRA_MAPPING_FILE=str(tmp_path / "mapping.toml"))

    assert (code, refused["state"]) == (4, "open")
    assert "Plan_Tier__c" in refused["error"]
    assert len((await dlq("list"))[1]["letters"]) == 1


@pytest.mark.long
async def test_letter_is_dropped_with_a_reason_and_its_hole_stays_open(
    log: Log, dlq: Command, undecodable: tuple[str, str]
) -> None:
    letter_id, _ = undecodable
    (stale,) = letters.cases(await log.dead_letters())
    assert (await dlq("drop", letter_id, "--reason", "a test"))[1]["plan"] == "drop"

    code, _ = await dlq("drop", letter_id, "--reason", "a test", "--execute")

    assert code == 0
    assert (await dlq("list"))[1]["letters"] == []
    (kept,) = (await dlq("list", "--all"))[1]["letters"]
    assert (kept["state"], kept["said"]) == ("dropped", "a test")
    assert not [hole for mark in await log.watermarks("Product2") for hole in mark.closes]
    with pytest.raises(letters.Unresolved, match="dropped already"):
        await letters.drop(KafkaSettings(kafka_bootstrap=log.bootstrap), SYSTEM, stale, "who looked before")
