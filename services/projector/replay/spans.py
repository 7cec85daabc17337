"""Which records of the log a replay reads: decided before anything is read. Pure.

A replay applies again what was applied: it ends at the latest where the projection stands. What lies beyond is the
workers' own, and a watermark must not be applied before the changes that it speaks of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from services.kernel.errors import UmbraError
from services.kernel.kafka import partition_of
from services.projector.log import Place

RATE = 2_000
"""Events a second unless told otherwise: a fraction of what Postgres takes, so that reads do not feel it."""

MEASURED_RATE = 8_000.0
"""What a run does in a second of work while no run has measured it."""

_SCANNED_WEIGHT = 0.05
"""Cost of a record that is read and passed over, against one that is applied."""


class Refused(UmbraError):
    """It cannot be done as it was asked; the message says what can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for. Exactly one of offsets, since_ms, beginning and key says where to begin.

    offsets, until: by partition, the first offset to read and the first not to read
    since_ms, until_ms: times of the log, epoch milliseconds
    key: only records of this one, from the beginning of its partition
    repair: take equal versions too
    """

    topic: str
    offsets: Mapping[int, int] = field(default_factory=dict)
    since_ms: int | None = None
    beginning: bool = False
    key: str | None = None
    until: Mapping[int, int] = field(default_factory=dict)
    until_ms: int | None = None
    repair: bool = False

    @property
    def text(self) -> str:
        """The one form under which the same wish is found again."""
        return json.dumps(asdict(self), sort_keys=True)


class Known(NamedTuple):
    """What is known of a partition.

    start, end: what the log holds, committed records only
    applied: Postgres's next offset, None where nothing was ever projected
    since, until: the first offset at or after the times of the wish, None where nothing is as new
    anew: the topic was created anew since it was projected
    """

    start: int
    end: int
    applied: int | None
    since: int | None = None
    until: int | None = None
    anew: bool = False


class Span(NamedTuple):
    """Records of one partition, from `begin` to before `end`."""

    place: Place
    begin: int
    end: int


def spans(wish: Wish, known: Mapping[Place, Known]) -> list[Span]:
    """What to read. Raises Refused where the log no longer holds, or never held, what is asked for."""
    chosen = _chosen(wish, known)
    anew = sorted({place.topic for place in chosen if known[place].anew})
    if anew:
        raise Refused(
            f"{anew[0]} was created anew since it was projected: `umbra rebuild` brings rows and log together"
        )
    made = [_span(wish, place, known[place]) for place in chosen]
    return [span for span in made if span.begin < span.end]


def _chosen(wish: Wish, known: Mapping[Place, Known]) -> list[Place]:
    if wish.key is not None:
        return [Place(wish.topic, partition_of(wish.key, len(known)))]
    asked = set(wish.offsets) or {place.partition for place in known}
    unknown = sorted((asked | set(wish.until)) - {place.partition for place in known})
    if unknown:
        raise Refused(f"{wish.topic} has no partition {unknown[0]}, only 0 to {len(known) - 1}")
    return [Place(wish.topic, partition) for partition in sorted(asked)]


def _span(wish: Wish, place: Place, of: Known) -> Span:
    end = min(of.end, of.applied if of.applied is not None else of.start)
    end = min(end, wish.until.get(place.partition, end), end if of.until is None else of.until)
    return Span(place, _begin(wish, place, of), end)


def _begin(wish: Wish, place: Place, of: Known) -> int:
    name = f"{place.topic}/{place.partition}"
    if wish.offsets:
        asked = wish.offsets[place.partition]
        if asked < of.start:
            raise Refused(trimmed(place, asked, of.start))
        if asked > of.end:
            raise Refused(f"{name} ends at {of.end}, there is no {asked} yet")
        return asked
    if wish.since_ms is None:
        return of.start
    begin = of.end if of.since is None else of.since
    if begin == of.start > 0:
        raise Refused(
            f"{name}: the log begins at {of.start} and holds nothing older than that time, so some of what was asked "
            "for may be gone. `--from-beginning` replays what is there; a full read (`umbra backfill`) brings the rest."
        )
    return begin


def trimmed(place: Place, asked: int, start: int) -> str:
    return (
        f"{place.topic}/{place.partition}: {asked} is gone, the log begins at {start}. `--from-offset "
        f"{place.partition}:{start}` replays what is there; a full read (`umbra backfill`) brings the rest."
    )


def events(of: Iterable[Span]) -> int:
    """At most so many: offsets count transaction markers too."""
    return sum(span.end - span.begin for span in of)


def seconds(count: int, rate: float, measured: float) -> float:
    """How long `count` events take under a limit of `rate` a second, where `measured` is what the work allows."""
    return count / max(1.0, min(rate, measured))


@dataclass(slots=True)
class Pace:
    """Holds a run to `rate` events a second; what was slow is not made up for by a burst."""

    rate: float
    _due: float = 0.0

    def wait(self, applied: int, passed_over: int, began: float, now: float) -> float:
        """Seconds to wait after a batch that was begun at `began`, by one monotonic clock."""
        self._due = max(self._due, began) + (applied + passed_over * _SCANNED_WEIGHT) / self.rate
        return max(0.0, self._due - now)


def most_records(rate: float) -> int:
    """Records of one transaction: ten transactions a second, so that no lock is held for long."""
    return max(1, min(250, int(rate / 10)))
