"""Turns a commit into the events of all topics, and knows every schema any retained event was written with."""

import uuid

from sandbox.salesforce import avro
from sandbox.salesforce.change_events import ChangeEventWriter, Outgoing
from sandbox.salesforce.commit import Commit, Notice
from sandbox.salesforce.event_schema import EventSchema, platform_event
from sandbox.salesforce.eventbus import EventBus, StoredEvent, Topic
from sandbox.salesforce.objects import OBJECTS, PLATFORM_EVENTS
from sandbox.salesforce.schema import Value


class Publisher:
    """The writers of this org's events, its topics and its schemas by id."""

    def __init__(self) -> None:
        self._changes = {name: ChangeEventWriter(obj) for name, obj in OBJECTS.items() if obj.topic}
        self._platform = {name: platform_event(event) for name, event in PLATFORM_EVENTS.items()}
        self._encoders = {name: avro.writer(schema.json) for name, schema in self._platform.items()}
        self.schemas = {schema.id: schema.json for schema in self.current_schemas()}
        self.bus = EventBus(
            [Topic(w.obj.topic, w.schema.id) for w in self._changes.values()]
            + [Topic(PLATFORM_EVENTS[name].topic, schema.id) for name, schema in self._platform.items()]
        )

    def current_schemas(self) -> list[EventSchema]:
        return [w.schema for w in self._changes.values()] + list(self._platform.values())

    def events(self, commit: Commit) -> list[StoredEvent]:
        """The commit's events, numbered but not yet in any log.

        Sequence numbers count every changed record, so objects not selected for change data capture leave holes.
        """
        outgoing: list[Outgoing] = []
        for sequence, change in enumerate(commit.changes, 1):
            if (writer := self._changes.get(change.object)) is not None:
                outgoing.append(writer.write(commit, change, sequence))
        outgoing += [self._notice(commit, notice) for notice in commit.notices]
        return [self.number(event, commit.at_ms) for event in outgoing]

    def number(self, event: Outgoing, at_ms: int) -> StoredEvent:
        """Give an event its id and its place in its topic's log."""
        number = self.bus.topics[event.topic].next_number()
        return StoredEvent(event.topic, number, at_ms, str(uuid.uuid4()), event.schema_id, event.payload)

    def _notice(self, commit: Commit, notice: Notice) -> Outgoing:
        fields: dict[str, Value] = {"CreatedDate": commit.at_ms, "CreatedById": commit.user_id, **notice.fields}
        if notice.timed:
            fields[notice.timed] = commit.at_ms
        payload = self._encoders[notice.event](fields)
        return Outgoing(PLATFORM_EVENTS[notice.event].topic, self._platform[notice.event].id, payload)
