"""Since when a delta reads: far enough back to hold what nothing has proven yet, not so far that Salesforce has
forgotten what was deleted. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from schemas import versions
from schemas.events import Checkpoint
from services.ingestor.jobs.holes import Hole
from services.ingestor.jobs.lives import Unproven

LONGEST_TRANSACTION_MS = 600_000
"""A record's stamp is taken in its transaction, which may commit so much later: Apex and the database end at ten
minutes (Apex developer guide, "Execution Governors and Limits"). Needed only where no latestDateCovered says more."""
OVERLAP_MS = 2_000
"""Before latestDateCovered: stamps have whole seconds."""
_DELETED = timedelta(days=15) - timedelta(hours=1)
"""How far back deletions can be asked for, less some room (REST guide, "Get Deleted")."""
_LEAST_MS = 120_000
"""Shortest span that is asked for: Salesforce cuts both ends to the minute."""
_BY_STAMP = frozenset({"replay", "undecodable"})
"""Holes whose changes tell their time by their stamps; an overflow or a wildcard may hide what has none."""


@dataclass(frozen=True, slots=True)
class Window:
    """since_ms: SystemModstamp from there on is read; asked_ms: start of the span that `updated` is asked for."""

    since_ms: int
    asked_ms: int


def start_of(stored: Checkpoint | None, full: Checkpoint | None) -> int | None:
    """Everything that committed with an older stamp is proven; None where nothing ever was.

    stored: the delta's own checkpoint; full: that of the full read
    """
    known = []
    if stored is not None and "next_ms" in stored.job:
        known.append(int(stored.job["next_ms"]))
    if full is not None and "proven_r0_ms" in full.job:
        known.append(int(full.job["proven_r0_ms"]) - int(full.job["margin_ms"]) - LONGEST_TRANSACTION_MS)
    return max(known, default=None)


def fitting(hole: Hole) -> bool:
    """Whether a delta can close such a hole at all."""
    return hole.since is not None and hole.until is not None and hole.id.partition(":")[0] in _BY_STAMP


def since_of(hole: Hole) -> int:
    """Stamps of what a fitting hole swallowed are not older."""
    if hole.since is None:
        raise ValueError("a hole since ever has no oldest stamp")
    return versions.millis(hole.since) - LONGEST_TRANSACTION_MS


def of(start_ms: int | None, holes: Iterable[Hole], now_ms: int) -> Window:
    """Raises Unproven where only a full read will do."""
    if start_ms is None:
        raise Unproven("the object was never read in full: a full read has to come first")
    since_ms = min([start_ms, *(since_of(hole) for hole in holes if fitting(hole))])
    back = timedelta(milliseconds=now_ms - since_ms)
    if back > _DELETED:
        raise Unproven(f"{back.days} days lie unproven, and deletions are told for 15 only: a full read has to come")
    return Window(since_ms, min(since_ms, now_ms - _LEAST_MS))


def next_start(updated_covered_ms: int, deleted_covered_ms: int) -> int:
    return min(updated_covered_ms, deleted_covered_ms) - OVERLAP_MS
