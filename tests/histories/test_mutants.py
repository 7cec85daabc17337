"""Each wrong rule ends wrong in some corner, and the right one in none: else these worlds would prove nothing."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from schemas.events import RecordChange
from tests.histories import corners
from tests.histories.ingest import Ingest
from tests.histories.mutants import MUTANTS, RIGHT, Fold, Seen

WORLDS = 1_500


@dataclass(slots=True)
class Corners:
    """wrong: worlds in which the right rule failed; caught: the first world in which each mutant did"""

    wrong: list[str] = field(default_factory=list)
    caught: dict[str, int] = field(default_factory=dict)


@pytest.fixture(scope="module")
def ran() -> Corners:
    """All corner worlds, each in the log's order and in a shuffled one."""
    found = Corners()
    for seed in range(WORLDS):
        world = corners.make(seed)
        shuffled = random.Random(seed).sample(world.log, len(world.log))
        found.wrong += [f"{seed}: {why}" for why in (*world.faults, *world.truth.wrong(world.known))]
        if _fails(world, RIGHT, shuffled):
            found.wrong.append(f"{seed}: in another order")
        for name in MUTANTS.keys() - found.caught.keys():
            if _fails(world, MUTANTS[name], shuffled):
                found.caught[name] = seed
    return found


def _fails(world: Ingest, rule: Fold, shuffled: list[RecordChange]) -> bool:
    seen = Seen(world.ended, world.copied)
    return any(next(world.truth.wrong(rule(log, seen)), None) for log in (world.log, shuffled))


def test_the_right_rule_is_right_in_every_corner(ran: Corners) -> None:
    assert ran.wrong == []


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_rule_is_caught_in_a_corner(ran: Corners, mutant: str) -> None:
    assert mutant in ran.caught
