"""What one delivery of a Salesforce topic says. Pure: the schema is handed in.

A topic carries either change events of one object, or the platform event that reports order statuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from schemas import topics, versions
from schemas.events import OrderStatus, RecordChange, Watermark
from schemas.mapping import Mapping, ObjectMapping
from services.salesforce.pubsub import changes, statuses
from services.salesforce.pubsub.avro import EventSchema
from services.salesforce.pubsub.subscription import Delivery

_EVENTS, _DATA, _CHANGES = "/event/", "/data/", "ChangeEvent"


@dataclass(frozen=True, slots=True)
class Said:
    """What a delivery says, and when it happened. unmapped: of an object that nobody asked for, so it says nothing."""

    at: datetime
    changes: tuple[RecordChange, ...] = ()
    statuses: tuple[OrderStatus, ...] = ()
    holes: tuple[Watermark, ...] = ()
    unmapped: bool = False


def object_of(salesforce_topic: str) -> str | None:
    """The shadowed object whose changes a topic carries; None for a platform event."""
    name = salesforce_topic.removeprefix(_DATA).removesuffix(_CHANGES)
    entity = f"{name}c" if name.endswith("__") else name
    return entity if entity in topics.RECORD_TOPICS else None


def objects_of(salesforce_topic: str) -> tuple[str, ...]:
    """Every shadowed object whose changes a topic carries; a channel carries them all."""
    if salesforce_topic == topics.CHANNEL:
        return tuple(topics.RECORD_TOPICS)
    entity = object_of(salesforce_topic)
    return () if entity is None else (entity,)


def unknown(names: tuple[str, ...], mapping: Mapping) -> list[str]:
    """Those topics of which it is not known what they carry, or where their position is kept."""
    reports = _EVENTS + mapping.order_status.event["object"]
    return [
        name
        for name in names
        if name not in (*topics.SALESFORCE_TOPICS, topics.CHANNEL)
        or (mapping.objects.keys().isdisjoint(objects_of(name)) and name != reports)
    ]


def read(delivery: Delivery, schema: EventSchema, salesforce_topic: str, mapping: Mapping) -> Said:
    """Raises Undecodable."""
    event = schema.decode(delivery.payload)
    replay_id = delivery.replay_id.hex()
    if salesforce_topic.startswith(_EVENTS):
        reported = statuses.from_platform_event(event, mapping.order_status, replay_id)
        return Said(versions.moment(statuses.created_ms(event)), statuses=(reported,))
    decoded = changes.of_event(event, schema, _kept(mapping), replay_id)
    reported_too = tuple(statuses.from_changes(decoded.changes, mapping.order_status))
    at = versions.moment(decoded.committed_ms)
    return Said(at, decoded.changes, reported_too, decoded.holes, unmapped=decoded.unmapped)


def _kept(mapping: Mapping) -> dict[str, ObjectMapping]:
    """The mapped objects that have a topic."""
    return {name: of for name, of in mapping.objects.items() if name in topics.RECORD_TOPICS}
