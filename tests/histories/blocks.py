"""A block of histories, the unit of work of a long run."""

from __future__ import annotations

from collections import Counter

from tests.histories.lives import live

BLOCK = 250


def run_block(first: int) -> tuple[int, Counter[str], list[str]]:
    counts: Counter[str] = Counter()
    faults: list[str] = []
    for seed in range(first, first + BLOCK):
        life = live(seed)
        counts.update(life.ingest.counts)
        counts["messages"] += len(life.ingest.log)
        faults += [f"{seed}: {life.faults[0]}"] if life.faults else []
    return first, counts, faults
