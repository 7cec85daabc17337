"""What kind of org a history is of: its lasting behaviour, and which ingredients may occur."""

import random
from dataclasses import dataclass
from typing import Any

MARKED = frozenset({"gap", "duplicate", "jump", "forget", "migrate", "add-field", "long", "overflow"})
"""What an ingestor learns of by itself."""
CUT = frozenset({"forget", "migrate"})
"""What may swallow the news of something else."""
SILENT = frozenset({"lose", "touch"})
"""What no event tells, and a later read by stamps does."""
HIDDEN = frozenset({"convert", "derive", "hard-delete"})
"""What only a full read with an anti-join finds, or puts right."""
TOLD = frozenset({"convert"})
"""Of that, what an event tells, if it arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """early: ingredients of the first part of the history; late: of the rest

    still: the longest wait, in milliseconds
    """

    steps: int
    whole_seconds: bool
    behaviour: dict[str, Any]
    early: frozenset[str]
    late: frozenset[str]
    still: int = 60_000


def draw(rng: random.Random) -> Profile:
    """One of all kinds: with silent losses or without, with what is hidden or without, with no loss at all."""
    if rng.random() < 0.15:
        every = (MARKED - CUT) | TOLD
        return _profile(rng, every, every, skewed=False, lossy=False)
    silent = SILENT if rng.random() < 0.5 else frozenset()
    hidden = HIDDEN if rng.random() < 0.4 else frozenset()
    skewed = rng.random() < 0.15
    return _profile(rng, MARKED | silent | hidden, MARKED | silent, skewed=skewed, lossy=bool(silent))


def _profile(rng: random.Random, early: frozenset[str], late: frozenset[str], *, skewed: bool, lossy: bool) -> Profile:
    return Profile(
        steps=rng.randint(8, 24),
        whole_seconds=rng.random() < 0.6,
        behaviour=behaviour(rng, skewed=skewed, lossy=lossy),
        early=early,
        late=late,
    )


def behaviour(rng: random.Random, *, skewed: bool, lossy: bool) -> dict[str, Any]:
    """Extremes are drawn on purpose.  A skewed clock takes the place of early commit times: M has room for one."""
    return {
        "late_reads_ms": rng.choice(((0, 0), (0, 3_000), (3_000, 3_000))),
        "late_events_ms": rng.choice(((0, 0), (0, 3_000), (3_000, 3_000))),
        "early_commit_ms": (0, 0) if skewed else rng.choice(((0, 0), (0, 1_000), (1_000, 1_000))),
        "clock_skew_ms": (-1_000, 1_000) if skewed else (0, 0),
        "merge": rng.random() < 0.5,
        "diffs": rng.random() < 0.5,
        "lone_compounds": rng.random() < 0.3,
        "empty_undeletes": rng.random() < 0.3,
        "opaque_replay_ids": rng.random() < 0.3,
        "duplicate_share": rng.choice((0.0, 0.0, 0.2)),
        "gap_share": rng.choice((0.0, 0.0, 0.1)),
        "lose_share": rng.choice((0.0, 0.2)) if lossy else 0.0,
        "number_jump_share": rng.choice((0.0, 0.0, 0.3)),
    }
