"""Publishing platform events from outside: each event of a request is accepted or refused by itself."""

import uuid
from typing import Any

from sandbox.salesforce import avro
from sandbox.salesforce.change_events import Outgoing
from sandbox.salesforce.eventbus import StoredEvent, Topic
from sandbox.salesforce.generated import pubsub_api_pb2 as pb
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.pubsub.faults import bad_request
from sandbox.salesforce.pubsub.subscription import find_topic

MAX_EVENT_BYTES = 1_000_000


def publish(instance: Instance, request: Any) -> Any:
    """The answer to one publish request.  Raises Fault."""
    if not request.topic_name:
        raise bad_request("publish.topic.validation.empty", "The topic name is required.")
    topic = find_topic(instance, request.topic_name)
    if not topic.name.startswith("/event/"):
        raise bad_request("publish.topic.validation.empty", f"Events cannot be published to {topic.name}.")
    if not request.events:
        raise bad_request("publish.event.count.invalid", "At least one event is required.")
    accepted: list[StoredEvent] = []
    results = [_one(instance, topic, event, accepted) for event in request.events]
    if accepted:
        instance.org.publish(accepted)
        instance.usage.published_events.add(len(accepted))
    return pb.PublishResponse(results=results, schema_id=topic.schema_id, rpc_id=str(uuid.uuid4()))


def _one(instance: Instance, topic: Topic, event: Any, accepted: list[StoredEvent]) -> Any:
    problem = _problem(topic, event, instance.org.publisher.schemas)
    if problem:
        error = pb.Error(code=pb.ErrorCode.PUBLISH, msg=problem)
        return pb.PublishResult(error=error, correlation_key=event.id)
    outgoing = Outgoing(topic.name, event.schema_id, event.payload)
    stored = instance.org.publisher.number(outgoing, instance.org.clock.now_ms())
    accepted.append(stored)
    return pb.PublishResult(replay_id=instance.org.replay.encode(stored.number), correlation_key=event.id)


def _problem(topic: Topic, event: Any, schemas: dict[str, str]) -> str:
    """Why an event cannot be published; empty when it can."""
    if event.schema_id != topic.schema_id:
        return f"The schema id {event.schema_id} is not the topic's."
    if len(event.payload) > MAX_EVENT_BYTES:
        return "The event is larger than 1 MB."
    try:
        avro.reader(schemas[event.schema_id])(event.payload)
    except ValueError as error:
        return f"The payload does not fit the schema: {error}."
    return ""
