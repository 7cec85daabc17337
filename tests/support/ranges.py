"""Sets of moments as sorted, disjoint, closed ranges of whole milliseconds: a measure for the ledger's answers.

A moment that a hole holds is taken out, so what is left of a range ends a millisecond beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

Range = tuple[int, int]
Ranges = list[Range]


def union(ranges: Iterable[Range]) -> Ranges:
    """Ranges between which no moment lies are one."""
    made: Ranges = []
    for since, until in sorted(ranges):
        if made and since <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(made[-1][1], until))
        else:
            made.append((since, until))
    return made


def common(sets: Iterable[Ranges]) -> Ranges:
    return reduce(_common, sets)


def _common(one: Ranges, other: Ranges) -> Ranges:
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return [pair for pair in pairs if pair[0] <= pair[1]]


def without(ranges: Ranges, holes: Iterable[Range]) -> Ranges:
    left = ranges
    for since, until in holes:
        parts = ([(a, min(b, since - 1)), (max(a, until + 1), b)] for a, b in left)
        left = [part for pair in parts for part in pair if part[0] <= part[1]]
    return union(left)
