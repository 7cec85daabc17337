"""Random lives of an org, followed by an ingestor: in the end every row is as the org, field by field."""

from __future__ import annotations

import os
import random
from collections import Counter
from multiprocessing import get_context

import pytest

from sandbox.salesforce.driver import profile
from sandbox.salesforce.driver.history import History
from tests.histories.blocks import BLOCK, run_block
from tests.histories.lives import live

_LONG = 100_000
_BEHAVIOUR = {"gap_share": "gap", "lose_share": "lose", "most_changes": "overflow"}


@pytest.mark.parametrize("block", range(8))
def test_every_history_ends_as_the_org(block: int) -> None:
    _, counts, wrong = run_block(block * BLOCK)

    assert wrong == []
    assert min(counts[what] for what in ("claims", "healed", "inverted", "repaired", "repeated")) > 0


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_a_hundred_thousand_histories_end_as_the_org() -> None:
    with get_context("fork").Pool(os.cpu_count()) as pool:
        ran = list(pool.imap_unordered(run_block, range(0, _LONG, BLOCK)))

    print(f"seeds 0 to {_LONG - 1}: {sum((counts for _, counts, _ in ran), Counter())}")  # noqa: T201 - the record
    assert [fault for _, _, wrong in ran for fault in wrong] == []


def test_a_history_is_the_same_for_the_same_seed() -> None:
    first, second = live(7), live(7)

    assert [message.version for message in first.ingest.log] == [message.version for message in second.ingest.log]
    assert first.ingest.known == second.ingest.known


def test_every_ingredient_occurs() -> None:
    """A generator that has lost an ingredient finds nothing and says nothing."""
    assert ingredients(range(200)) >= profile.MARKED | profile.SILENT | profile.HIDDEN


def ingredients(seeds: range) -> set[str]:
    """What histories hold, by the names of `profile`."""
    found: set[str] = set()
    for seed in seeds:
        rng = random.Random(seed)
        for step in History(rng, profile.draw(rng)).steps():
            found.add("long" if step.what == "begin" else step.what)
            found |= {name for behaviour, name in _BEHAVIOUR.items() if behaviour in step.body.get("as", ())}
    return found
