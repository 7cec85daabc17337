"""Where each assigned partition stands: read, applied in Postgres, told to the caches. Pure bookkeeping."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.projector.log import Place


@dataclass(slots=True)
class Standing:
    """One partition.

    applied: Postgres's next offset
    read: next offset after the last record that Kafka gave us
    position: where the reader stands; between `read` and here lie only markers and aborted records
    end: last offset that a reader of committed records could reach, as Kafka last said
    told: everything below has its caches told
    untold: next offsets of applied batches whose tags are not told yet, oldest first
    """

    applied: int
    read: int
    position: int
    end: int
    told: int
    untold: deque[int] = field(default_factory=deque)

    @property
    def committable(self) -> int:
        """What Kafka may be told: never past the oldest batch whose caches are not."""
        return min(self.told, self.applied) if self.untold else self.applied

    @property
    def over_markers(self) -> bool:
        """All that was read is applied, and the reader stands further on: only markers lie between."""
        return self.read <= self.applied < self.position

    @property
    def backlog(self) -> int:
        return max(0, self.end - max(self.applied, self.position if self.applied >= self.read else 0))


class Ledger:
    """All assigned partitions. What is said of others is ignored: they were taken away meanwhile."""

    def __init__(self) -> None:
        self._standings: dict[Place, Standing] = {}

    @property
    def places(self) -> list[Place]:
        return sorted(self._standings)

    def assign(self, standings: Mapping[Place, Standing]) -> None:
        """Begin anew with these partitions."""
        self._standings = dict(standings)

    def expected(self, place: Place) -> int | None:
        known = self._standings.get(place)
        return None if known is None else known.read

    def read(self, place: Place, read: int) -> None:
        known = self._standings.get(place)
        if known is not None:
            known.read = read

    def reach(self, place: Place, position: int, end: int) -> None:
        """Where the reader stands once all that it gave so far is noted by `read`."""
        known = self._standings.get(place)
        if known is not None:
            known.position, known.end = max(position, known.read), end

    def applied(self, next_offsets: Mapping[Place, int], tagged: Iterable[Place]) -> None:
        for place in tagged:
            known = self._standings.get(place)
            if known is not None:
                known.untold.append(next_offsets[place])
        for place, offset in next_offsets.items():
            known = self._standings.get(place)
            if known is not None:
                known.applied = max(known.applied, offset)

    def told(self, place: Place, next_offset: int) -> None:
        """The tags of all batches of this partition up to this one are told."""
        known = self._standings.get(place)
        if known is not None:
            while known.untold and known.untold[0] <= next_offset:
                known.untold.popleft()
            known.told = max(known.told, next_offset)

    def untold(self) -> dict[Place, int]:
        """The newest batch of each partition whose tags are not known to be told."""
        return {place: each.untold[-1] for place, each in self._standings.items() if each.untold}

    def committable(self) -> dict[Place, int]:
        return {place: each.committable for place, each in self._standings.items()}

    def over_markers(self) -> dict[Place, tuple[int, int]]:
        """For partitions that end in markers: what is applied, and where the reader stands."""
        return {p: (each.applied, each.position) for p, each in self._standings.items() if each.over_markers}

    def settled(self, place: Place, position: int) -> None:
        known = self._standings.get(place)
        if known is not None:
            known.applied = max(known.applied, position)

    @property
    def all_told(self) -> bool:
        return not any(each.untold for each in self._standings.values())

    def backlog(self) -> dict[str, int]:
        """Records in the log that are not applied, by topic."""
        totals: dict[str, int] = {}
        for place, each in self._standings.items():
            totals[place.topic] = totals.get(place.topic, 0) + each.backlog
        return totals
