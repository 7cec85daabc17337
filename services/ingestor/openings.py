"""What is written before a stream that has no position to go on from: it starts at the earliest, with a hole. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from schemas import topics, versions
from schemas.events import Checkpoint, Watermark
from services.ingestor import outgoing, reading
from services.ingestor.batch import covered_until
from services.ingestor.outgoing import Record
from services.ingestor.position import Position

FIRST = "first:"
"""Begins the id of the hole that a topic's very first start leaves."""


def first_hole_id(salesforce_topic: str) -> str:
    return FIRST + salesforce_topic


def first_start(salesforce_topic: str, org_now_ms: int, now: datetime) -> Iterator[Record]:
    """Of what happened before the first start only what Salesforce still keeps will come.

    The hole ends a little before the start, as every stream covers its object less the late visibility: the entity
    was selected for change events before it could be subscribed to.
    """
    yield from _hole(
        salesforce_topic,
        first_hole_id(salesforce_topic),
        since=None,
        until=versions.moment(org_now_ms - versions.LATE_VISIBILITY_MS),
        reason="first start",
        now=now,
    )
    yield _checkpoint(Checkpoint(name=salesforce_topic, written_at=now, reason="first start"), now)


def healed(salesforce_topic: str, lost: Position, why: str, org_now_ms: int, now: datetime) -> Iterator[Record]:
    """Salesforce does not know the position any more. This alone may write a position that lies before the last."""
    yield from _hole(
        salesforce_topic,
        f"replay:{lost.replay_id}",
        since=None if lost.event_at is None else covered_until(lost.event_at),
        until=versions.moment(org_now_ms),
        reason=why,
        now=now,
    )
    yield _checkpoint(Checkpoint(name=salesforce_topic, written_at=now, heal=True, reason=why), now)


def _checkpoint(of: Checkpoint, now: datetime) -> Record:
    return outgoing.checkpoint(of, topics.checkpoint_partition(of.name), now)


def _hole(
    salesforce_topic: str, hole_id: str, *, since: datetime | None, until: datetime, reason: str, now: datetime
) -> Iterator[Record]:
    """Nothing for a topic that carries no object's changes."""
    entity = reading.object_of(salesforce_topic)
    if entity is None:
        return
    hole = Watermark(
        object=entity, basis="hole", origin="cdc", hole_id=hole_id, hole_from=since, hole_to=until, reason=reason
    )
    yield from outgoing.watermark(hole, now)
