"""Turns a commit into the events of all topics, and knows every schema any retained event was written with."""

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from sandbox.salesforce import avro, shaping
from sandbox.salesforce.change_events import ChangeEventWriter, Outgoing
from sandbox.salesforce.commit import Commit, Notice
from sandbox.salesforce.event_schema import EventSchema, platform_event
from sandbox.salesforce.eventbus import EventBus, StoredEvent, Topic
from sandbox.salesforce.objects import PLATFORM_EVENTS
from sandbox.salesforce.oddities.settings import NONE, Oddities
from sandbox.salesforce.schema import SObject, Value
from sandbox.salesforce.shaping import Shape


@cache
def _platform_schema(name: str) -> tuple[EventSchema, Callable[[Mapping[str, Any]], bytes]]:
    schema = platform_event(PLATFORM_EVENTS[name])
    return schema, avro.writer(schema.json)


CHANNEL = "/data/ChangeEvents"
"""All selected entities in one: it has no schema of its own."""


class Publisher:
    """The writers of this org's events, its topics and its schemas by id."""

    def __init__(self, objects: Mapping[str, SObject], rng: random.Random) -> None:
        self._rng = rng
        self._changes = {name: ChangeEventWriter(obj) for name, obj in objects.items() if obj.topic}
        self._platform = {name: _platform_schema(name) for name in PLATFORM_EVENTS}
        self.schemas = {schema.id: schema.json for schema in self.current_schemas()}
        self.bus = EventBus(
            [Topic(w.obj.topic, w.schema.id) for w in self._changes.values()]
            + [Topic(PLATFORM_EVENTS[name].topic, schema.id) for name, (schema, _) in self._platform.items()]
        )

    def current_schemas(self) -> list[EventSchema]:
        return [w.schema for w in self._changes.values()] + [schema for schema, _ in self._platform.values()]

    def renew(self, obj: SObject) -> None:
        """From here on the object's events have another schema; older ones keep theirs."""
        if not obj.topic:
            return
        writer = self._changes[obj.name] = ChangeEventWriter(obj)
        self.schemas[writer.schema.id] = writer.schema.json
        self.bus.topics[obj.topic].schema_id = writer.schema.id

    def open_channel(self) -> Topic:
        return self.bus.topics.setdefault(CHANNEL, Topic(CHANNEL, ""))

    def events(self, commit: Commit, oddities: Oddities = NONE) -> list[Outgoing]:
        """The commit's events, not numbered yet.

        Sequence numbers count every event of the commit, so objects not selected for change data capture leave holes.
        """
        planned = shaping.shapes(commit.changes, oddities, self._rng, self._is_part)
        written = (self._write(commit, shape, oddities) for shape in planned)
        return [event for event in written if event is not None] + [self._notice(commit, n) for n in commit.notices]

    def _write(self, commit: Commit, shape: Shape, oddities: Oddities) -> Outgoing | None:
        if (writer := self._changes.get(shape.object)) is None:
            return None
        event = writer.write(commit, shape, diffs=oddities.diffs)
        if len(event.payload) <= oddities.most_event_bytes or shape.change is None:
            return event
        return writer.write(commit, replace(shape, change=None, change_type=f"GAP_{shape.change.kind}"))

    def write(self, commit: Commit, shape: Shape) -> Outgoing:
        """One event of an object that is selected for change data capture."""
        return self._changes[shape.object].write(commit, shape)

    def _is_part(self, object_name: str, field: str) -> bool:
        writer = self._changes.get(object_name)
        return writer is not None and bool(writer.obj.by_name[field].part)

    def number(self, event: Outgoing, at_ms: int) -> StoredEvent:
        """Give an event its id and its place in its topic's log."""
        number = self.bus.topics[event.topic].next_number()
        event_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        return StoredEvent(event.topic, number, at_ms, event_id, event.schema_id, event.payload)

    def _notice(self, commit: Commit, notice: Notice) -> Outgoing:
        fields: dict[str, Value] = {"CreatedDate": commit.at_ms, "CreatedById": commit.user_id, **notice.fields}
        if notice.timed:
            fields[notice.timed] = commit.at_ms
        schema, encode = self._platform[notice.event]
        return Outgoing(PLATFORM_EVENTS[notice.event].topic, schema.id, encode(fields))
