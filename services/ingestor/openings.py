"""What is written before a stream that has no position to go on from: it starts at the earliest, with a hole. Pure.

What such a stream covers begins anew where its hole ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from schemas import topics, versions
from schemas.events import Checkpoint, Watermark
from services.ingestor import outgoing, reading
from services.ingestor import position as positions
from services.ingestor.outgoing import Record
from services.ingestor.position import Position, covered_until

FIRST = "first:"
"""Begins the id of the hole that a topic's very first start leaves."""


@dataclass(frozen=True, slots=True)
class Opening:
    """records: one transaction; position: where the stream stands once it is committed"""

    records: list[Record]
    position: Position


def first_hole_id(salesforce_topic: str, until: datetime | None) -> str:
    """A start without a checkpoint is told from any other one: a lost checkpoint makes a hole that is open again."""
    return FIRST + salesforce_topic + _at(until)


def _at(moment: datetime | None) -> str:
    return "" if moment is None else f":{versions.millis(moment)}"


def first_start(salesforce_topic: str, org_now_ms: int, now: datetime) -> Opening:
    """Of what happened before the first start only what Salesforce still keeps will come.

    The hole ends a little before the start, as every stream covers its object less the late visibility: the entity
    was selected for change events before it could be subscribed to.
    """
    until = versions.moment(org_now_ms - versions.LATE_VISIBILITY_MS)
    hole_id = first_hole_id(salesforce_topic, until)
    holes = _holes(salesforce_topic, hole_id, since=None, until=until, reason="first start")
    start = Checkpoint(name=salesforce_topic, written_at=now, covered_from=until, reason="first start")
    return _opening(holes, start, now)


def healed(salesforce_topic: str, lost: Position, why: str, org_now_ms: int, now: datetime) -> Opening:
    """Salesforce does not know the position any more. This alone may write a position that lies before the last."""
    since = None if lost.event_at is None else covered_until(lost.event_at)
    until = versions.moment(org_now_ms)
    hole_id = f"replay:{lost.replay_id}{_at(until)}"
    holes = _holes(salesforce_topic, hole_id, since=since, until=until, reason=why)
    start = Checkpoint(
        name=salesforce_topic, written_at=now, covered_from=until, heal=True, reason=why, job=lost.told_again()
    )
    return _opening(holes, start, now)


def _opening(holes: Iterable[Watermark], start: Checkpoint, now: datetime) -> Opening:
    records = [record for hole in holes for record in outgoing.watermark(hole, now)]
    records.append(outgoing.checkpoint(start, topics.checkpoint_partition(start.name), now))
    return Opening(records, positions.of(start))


def _holes(
    salesforce_topic: str, hole_id: str, *, since: datetime | None, until: datetime, reason: str
) -> Iterator[Watermark]:
    """One for each object whose changes the topic carries."""
    return (
        Watermark(
            object=entity, basis="hole", origin="cdc", hole_id=hole_id, hole_from=since, hole_to=until, reason=reason
        )
        for entity in reading.objects_of(salesforce_topic)
    )
