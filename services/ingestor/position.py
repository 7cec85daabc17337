"""Where a stream stands: the newest position whose changes are in the log, and up to when that covers it. Pure.

Replay ids are opaque: that a position went back shows only by the times of its events.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from schemas import versions
from schemas.events import Checkpoint
from schemas.versions import Version

TOLERANCE = timedelta(seconds=60)
"""Commit times of one stream come from many clocks and may step back a little; a position that went back does more."""
_AGAIN = "again_until"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """replay_id: hex, None for "from the earliest"; event_at: all events up to then lie at or before it
    covered_from: since when nothing is missing up to here but what holes name; None: since the next event
    newest: greatest version of an event at or before it, since the stream last began at the earliest
    again_until: after a heal, the greatest version that was in the log before: up to there events come again
    """

    replay_id: str | None = None
    event_at: datetime | None = None
    covered_from: datetime | None = None
    newest: Version | None = None
    again_until: Version | None = None

    @property
    def after(self) -> bytes | None:
        """As a subscription takes it."""
        return bytes.fromhex(self.replay_id) if self.replay_id else None

    def checkpoint(self, salesforce_topic: str, now: datetime) -> Checkpoint:
        return Checkpoint(
            name=salesforce_topic,
            written_at=now,
            replay_id=self.replay_id,
            event_at=self.event_at,
            covered_from=self.covered_from,
            newest=self.newest,
            job={_AGAIN: self.again_until} if self.again_until else {},
        )

    def told_again(self) -> dict[str, Any]:
        """What a checkpoint keeps when this position is given up for the earliest."""
        until = max((version for version in (self.newest, self.again_until) if version), default=None)
        return {_AGAIN: until} if until else {}


def of(checkpoint: Checkpoint | None) -> Position:
    """The position that a checkpoint stored; the earliest where there is none.

    A checkpoint that does not say since when it is contiguous is so from its own time on.
    """
    if checkpoint is None:
        return Position()
    at = checkpoint.event_at
    since = checkpoint.covered_from or (None if at is None else covered_until(at))
    return Position(
        replay_id=checkpoint.replay_id,
        event_at=at,
        covered_from=since,
        newest=checkpoint.newest,
        again_until=checkpoint.job.get(_AGAIN),
    )


def covered_until(newest: datetime) -> datetime:
    """Up to when an object is covered once all that happened up to `newest` is in the log, less the late visibility."""
    return versions.moment(versions.millis(newest) - versions.LATE_VISIBILITY_MS)


def went_back(position: Position, newest: datetime) -> bool:
    """Whether events up to `newest` have been passed long before: the service repeats itself."""
    return position.event_at is not None and newest < position.event_at - TOLERANCE


def advanced(position: Position, replay_id: bytes, newest: datetime) -> Position:
    """The position after a response: events up to `newest`, a quiet stream's own time where it had none.

    A response without a usable replay id, or one that went back, leaves the position where it is.
    """
    if not replay_id or went_back(position, newest):
        return position
    latest = newest if position.event_at is None else max(position.event_at, newest)
    since = position.covered_from or covered_until(newest)
    return replace(position, replay_id=replay_id.hex(), event_at=latest, covered_from=since)
