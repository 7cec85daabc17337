"""One Subscribe stream: credit, replay position, keepalive.

Credit is what the client asked for and has not got; it never exceeds 100.  With credit and nothing to send, the
stream sends an empty answer now and then, whose latest_replay_id can be resumed from; without credit it is closed
after a while.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc

from sandbox.salesforce.eventbus import StoredEvent, Topic
from sandbox.salesforce.generated import pubsub_api_pb2 as pb
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.pubsub.faults import Fault, bad_request, corrupted, of_code, unavailable
from sandbox.salesforce.pubsub.troubled import Troubled

MAX_CREDIT = 100
_MAX_ANSWER_BYTES = 3 * 1024 * 1024


class Subscription:
    """Serves one stream until the client or the org ends it.  `run` raises Fault to end it with an error."""

    def __init__(self, instance: Instance, requests: AsyncIterator[Any], context: Any) -> None:
        self._instance = instance
        self._requests = requests
        self._context = context
        self._wake = asyncio.Event()
        self._credit = 0
        self._half_closed = False
        self._fault: Fault | None = None
        self._rpc_id = str(uuid.uuid4())
        self._answered = asyncio.get_running_loop().time()

    async def run(self, first: Any) -> None:
        topic = find_topic(self._instance, first.topic_name)
        position = _start(self._instance, topic, first)
        self._add_credit(first)
        self._troubled = Troubled(self._instance, self._context, topic.name, self._rpc_id, self._wake)
        if self._instance.usage.deliveries_left() == 0:
            raise of_code("subscription.limit.exceeded")
        reader = asyncio.create_task(self._read(topic), name=f"subscribe-requests-{self._rpc_id}")
        topic.watch(self._wake)
        self._instance.switch.watch(self._wake)
        self._instance.faults.watch(self._wake)
        self._instance.usage.streams_by_topic[topic.name] += 1
        try:
            await self._deliver(topic, position)
        finally:
            self._instance.usage.streams_by_topic[topic.name] -= 1
            self._instance.faults.unwatch(self._wake)
            self._instance.switch.unwatch(self._wake)
            topic.unwatch(self._wake)
            reader.cancel()
            await asyncio.wait([reader])

    def _add_credit(self, request: Any) -> None:
        if request.num_requested <= 0:
            raise bad_request(
                "subscription.fetch.requested.events.invalid", "The number of requested events must be positive."
            )
        self._credit = min(MAX_CREDIT, self._credit + request.num_requested)

    async def _read(self, topic: Topic) -> None:
        """Later requests add credit; what they say of a replay position is ignored."""
        try:
            async for request in self._requests:
                if request.topic_name and request.topic_name != topic.name:
                    raise bad_request(
                        "subscription.fetch.topic.mismatch", "The topic name differs from the first request's."
                    )
                self._add_credit(request)
                self._wake.set()
        except Fault as fault:
            self._fault = fault
        self._half_closed = True
        self._wake.set()

    async def _deliver(self, topic: Topic, position: int) -> None:
        repeating, cuts = False, topic.cuts
        while True:
            self._wake.clear()
            if not self._instance.switch.on:
                raise unavailable()
            if topic.cuts != cuts:  # what lay ahead may be gone: only a new start can tell
                raise of_code("service.unavailable")
            if self._fault is not None:
                raise self._fault
            if await self._troubled.ended():
                return
            if events := _batch(topic, position, self._credit):
                events = self._allowed(events)
                await self._send(topic, events, events[-1].number)
                repeating = not repeating and self._troubled.repeats()
                position = position if repeating else events[-1].number
            elif self._half_closed:
                return
            elif not await self._wait():
                if self._credit == 0:
                    return
                position = self._instance.org.refresh_tip(topic)
                await self._keep_alive(topic, position)

    def _allowed(self, events: list[StoredEvent]) -> list[StoredEvent]:
        """What may be delivered now.  Raises Fault when the day's allowance is spent."""
        left = self._instance.usage.deliveries_left()
        if left == 0:
            raise of_code("subscription.limit.exceeded")
        return events[: min(left, self._troubled.most())]

    async def _keep_alive(self, topic: Topic, position: int) -> None:
        if self._troubled.keepalive_withheld():
            self._answered = asyncio.get_running_loop().time()
        else:
            await self._send(topic, [], position)

    async def _wait(self) -> bool:
        """False when the time for a keepalive, or the patience with a client without credit, has run out.

        Both count from the last answer: a client that keeps asking does not put them off.
        """
        behaviour = self._instance.org.behaviour
        span = behaviour.keepalive_s if self._credit else self._troubled.patience(behaviour.zero_credit_s)
        try:
            async with asyncio.timeout_at(self._answered + span):
                await self._wake.wait()
        except TimeoutError:
            return self._wake.is_set()
        return True

    async def _send(self, topic: Topic, events: list[StoredEvent], latest: int) -> None:
        self._credit -= len(events)
        answer = pb.FetchResponse(
            events=[self._troubled.event(event, self._instance.org.replay.encode(event.number)) for event in events],
            latest_replay_id=self._troubled.latest(self._instance.org.replay.encode(latest), has_events=bool(events)),
            rpc_id=self._rpc_id,
            pending_num_requested=self._credit,
        )
        await self._context.write(answer)
        self._answered = asyncio.get_running_loop().time()
        if events:
            self._troubled.delivered += len(events)
            self._instance.usage.count_delivery(topic.name, len(events))


def find_topic(instance: Instance, name: str) -> Topic:
    """A topic by name.  Raises Fault."""
    if not name:
        raise bad_request("topic.validation.empty", "The topic name is required.")
    topic = instance.org.bus.topics.get(name)
    if topic is None:
        raise Fault("topic.not.found", grpc.StatusCode.NOT_FOUND, f"The topic {name} does not exist.")
    return topic


def _start(instance: Instance, topic: Topic, first: Any) -> int:
    """The position to deliver after."""
    tip = instance.org.refresh_tip(topic)
    if first.replay_preset == pb.ReplayPreset.EARLIEST:
        return topic.before_first()
    if first.replay_preset != pb.ReplayPreset.CUSTOM:
        return tip
    if not first.replay_id:
        raise bad_request(
            "subscription.fetch.replayid.validation.failed", "The replay id is required when the preset is CUSTOM."
        )
    number = instance.org.replay.decode(first.replay_id)
    if number is None or not topic.knows(number):
        raise corrupted()
    return number


def _batch(topic: Topic, position: int, credit: int) -> list[StoredEvent]:
    """The next events within credit and the size of one answer."""
    if credit <= 0:
        return []
    events = topic.after(position, credit)
    size = 0
    for index, event in enumerate(events):
        size += len(event.payload) + 200
        if size > _MAX_ANSWER_BYTES and index:
            return events[:index]
    return events
