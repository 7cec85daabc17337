"""What the ledger calls proven, the rows hold: whatever events were lost, and however far each partition was read."""

from __future__ import annotations

import random

import pytest

from tests.integration.projector import harness
from tests.support import covered_worlds
from tests.support.covered_worlds import Faults, World

IDS = [harness.sf_id("Product2", number) for number in range(1, 5)]
HISTORIES = 2_000
FOUND = (3495, 4416, 6318, 6452, 9109)
"""Histories in which a claim up to r0 - M itself was too long: a commit was reported in whole seconds, and early."""


def places(rng: random.Random, world: World) -> list[int]:
    """How far each partition was read: to its end, or anywhere."""
    whole = rng.random() < 0.3
    return [len(log) if whole else rng.randint(0, len(log)) for log in world.log]


def false_claims(seed: int, faults: Faults = Faults(), silent: float = 0.0) -> int:  # noqa: B008 - frozen
    rng = random.Random(seed)
    world = covered_worlds.make(rng, IDS, faults, silent)
    found = 0
    for _ in range(3):
        read = covered_worlds.read_so_far(world, places(rng, world))
        claimed, known = covered_worlds.proven(read), covered_worlds.states(read)
        found += len(covered_worlds.false_claims(world.commits, claimed, known))
    return found


def test_proven_ranges_never_claim_what_a_row_lacks() -> None:
    wrong = [seed for seed in (*range(HISTORIES), *FOUND) if false_claims(seed)]

    assert wrong == []


@pytest.mark.parametrize(
    "faults",
    [
        Faults(until_start=True),
        Faults(bounded=True),
        Faults(asked_late=True),
        Faults(early_end=True),
        Faults(short=True),
    ],
    ids=str,
)
def test_a_job_that_breaks_its_promise_is_noticed(faults: Faults) -> None:
    assert any(false_claims(seed, faults) for seed in range(HISTORIES * 2))


def test_proven_ranges_never_claim_changes_without_a_stamp_that_no_full_read_has_shown() -> None:
    wrong = [seed for seed in range(HISTORIES) if false_claims(seed, silent=0.3)]

    assert wrong == []


def test_changes_without_a_stamp_that_leave_no_hole_are_noticed() -> None:
    assert any(false_claims(seed, Faults(untold=True), silent=0.3) for seed in range(HISTORIES))


def test_histories_claim_something() -> None:
    """A ledger that claims nothing would be right too."""
    claimed = 0
    for seed in range(200):
        world = covered_worlds.make(random.Random(seed), IDS)
        read = covered_worlds.read_so_far(world, [len(log) for log in world.log])
        ends = covered_worlds.proven(read)
        claimed += any(commit.true_ms <= until for commit in world.commits for _, until in ends)

    assert claimed > 100
