"""When a stream says how far it covers its object: at most once a second, and only forward. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from schemas.events import Watermark
from services.ingestor.position import Position, covered_until

LEAST_SECONDS = 1.0
"""Watermarks go to every partition, and everybody reads them."""


@dataclass(slots=True)
class Marks:
    """The watermarks of one object; None for a topic that carries no object's changes."""

    object: str | None
    _until: datetime | None = None
    _written: float | None = None

    def due(self, newest: datetime | None, position: Position, monotonic: float) -> Watermark | None:
        """What to write with a batch whose newest event or keepalive is of `newest`, and which ends at `position`.

        Nothing while what comes lies before the time since when the stream is contiguous: that is in a hole.
        """
        if self.object is None or newest is None:
            return None
        until, since = covered_until(newest), position.covered_from
        soon = self._written is not None and monotonic - self._written < LEAST_SECONDS
        if soon or (self._until is not None and until <= self._until) or (since is not None and until < since):
            return None
        return Watermark(
            object=self.object,
            basis="stream",
            origin="cdc",
            covered_from=since,
            covered_until=until,
            replay_id=position.replay_id,
        )

    def written(self, mark: Watermark, monotonic: float) -> None:
        """The mark is in the log."""
        self._until, self._written = mark.covered_until, monotonic
