"""When a repair may begin: not before it proves what it is for, and not again while its outcome is on the way. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from schemas import versions
from schemas.versions import Version
from services.ingestor.repair.due import Due, Hole

Remedy = Literal["full", "delta"]
_DELTA = frozenset({"replay", "undecodable"})
"""Holes whose records were changed in a known time, and tell it by their stamps."""
SLACK_MS = 1_500
"""Later than proves just so: what tells a read its start has whole seconds and its own time under way."""
AGAIN = (30.0, 3_600.0)
"""First and longest pause before the same thing is done once more, in seconds: the rows follow the log within these,
and what stays due after a proving read is looked at ever more rarely."""
HOLE_AGAIN = (600.0, 86_400.0)
"""As `AGAIN`, of whole jobs."""


def remedy(hole: Hole) -> Remedy:
    """What closes a hole. An overflow or a wildcard names no records, and a hole since ever no start: all is read."""
    return "delta" if hole.kind in _DELTA and hole.since is not None else "full"


def of_all(holes: Iterable[Hole]) -> Remedy:
    """The one job that closes all of these."""
    return "full" if any(remedy(hole) == "full" for hole in holes) else "delta"


def record_ms(due: Due, margin_ms: int) -> int:
    """Earliest start, by the org's clock, of a read that ends what is due."""
    return 0 if due.mark is None else versions.proves(versions.at_ms(due.mark), margin_ms) + SLACK_MS


def hole_ms(hole: Hole, margin_ms: int) -> int | None:
    """As `record_ms`; None for a hole whose end nobody knows, which no read is certain to lie behind."""
    return None if hole.until is None else versions.proves(versions.millis(hole.until), margin_ms) + SLACK_MS


@dataclass(slots=True)
class _Done:
    """When it was done, in monotonic seconds, and what it proved."""

    again_at: float
    proved: Version | None
    times: int


@dataclass(slots=True)
class Attempts:
    """What was done lately, by object and id: the rows learn of it only through the log.

    Pauses end on multiples of their length: what was read in one call is due again in one, and what became due at
    different times comes together.
    """

    _done: dict[tuple[str, str], _Done] = field(default_factory=dict)

    def resting(self, object_name: str, name: str, mark: Version | None, monotonic: float) -> float:
        """Seconds to leave it alone; 0 where it is due. A newer mark than what was proved is due at once."""
        done = self._done.get((object_name, name))
        if done is None or (mark is not None and done.proved is not None and mark >= done.proved):
            return 0.0
        return max(0.0, done.again_at - monotonic)

    def made(
        self,
        object_name: str,
        name: str,
        proved: Version | None,
        monotonic: float,
        again: tuple[float, float] = AGAIN,
    ) -> None:
        done = self._done.get((object_name, name))
        times = done.times if done else 0
        pause = min(again[1], again[0] * 2.0 ** min(times, 30))
        self._done[object_name, name] = _Done(_on_grid(monotonic, pause), proved, times + 1)

    def keep(self, still_due: Iterable[tuple[str, str]]) -> None:
        """Forget what is due no longer."""
        due = set(still_due)
        self._done = {key: done for key, done in self._done.items() if key in due}


def _on_grid(monotonic: float, pause: float) -> float:
    """The multiple of `pause` that lies nearest to a whole one from now, and at least half of one."""
    return (math.floor(monotonic / pause + 0.5) + 1) * pause
