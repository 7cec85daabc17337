"""The start guard: may a worker go on in this log from where Postgres stands? Pure decisions.

Outside the log, or in another log under the same name, going on would skip records or take new ones for old.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.errors import Fatal
from services.projector.apply import GUARD_EXIT
from services.projector.log import Place

HELP = "Nothing was skipped and no row was touched. Run `umbra rebuild` (it says what it needs) and start again."


@dataclass(frozen=True, slots=True)
class Stored:
    """Where Postgres stands in a partition, and what it remembers of the last record that it applied."""

    place: Place
    epoch: str
    next_offset: int
    last_offset: int | None = None
    last_timestamp_ms: int | None = None
    last_key_hash: int | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """What the log holds of a partition: from `start` to before `end`, committed records only."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The first record that the log gives from an offset on."""

    offset: int
    timestamp_ms: int
    key_hash: int


def refusal(stored: Stored, epoch: str, extent: Extent) -> str | None:
    """Why a worker must not go on; None where it may."""
    name, at = f"{stored.place.topic}/{stored.place.partition}", stored.next_offset
    if stored.epoch != epoch:
        return f"{name}: the topic was created anew since it was projected (epoch {stored.epoch}, now {epoch})"
    if at < extent.start:
        return f"{name}: Postgres stands at {at}, the log begins at {extent.start}: the records between are gone"
    if at > extent.end:
        return f"{name}: Postgres stands at {at}, the log ends at {extent.end}: it is not the log that was projected"
    return None


def remembers(stored: Stored, extent: Extent) -> bool:
    """Whether the last applied record is still in the log, to be compared."""
    return stored.last_offset is not None and extent.start <= stored.last_offset < extent.end


def difference(stored: Stored, seen: Seen) -> str | None:
    """Why the record that was applied last is not the one in the log; None where it is."""
    if (seen.offset, seen.timestamp_ms, seen.key_hash) == (
        stored.last_offset,
        stored.last_timestamp_ms,
        stored.last_key_hash,
    ):
        return None
    name = f"{stored.place.topic}/{stored.place.partition}"
    return f"{name}: the record at {stored.last_offset} is not the one that was applied: the log is another one"


def refuse(reasons: list[str]) -> Fatal:
    return Fatal("; ".join(reasons) + ". " + HELP, GUARD_EXIT)


def beginning(stored: Stored, extent: Extent, committed: int | None) -> int:
    """Where to read from: the smaller of what Postgres has applied and what Kafka was told, inside the log."""
    if committed is None:
        return stored.next_offset
    return max(extent.start, min(stored.next_offset, committed))
