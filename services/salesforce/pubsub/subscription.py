"""One Subscribe stream: what has arrived, at once and all of it; more comes only when it is asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from services.salesforce.pubsub.errors import Interrupted, PubSubError, error_of
from services.salesforce.pubsub.generated import pubsub_api_pb2 as pb

MOST_CREDIT = 100
"""Salesforce's cap on the events that one stream may be owed."""

_HELD = MOST_CREDIT + 28
"""Responses kept until they are received: one for each event owed, and some without events. Past it gRPC waits."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as it came."""

    replay_id: bytes
    schema_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Fetched:
    """One response.

    latest: a position from which all events so far lie behind; without deliveries it is the topic's newest
    received_ms: when it was received, by the org's clock at the earliest
    """

    deliveries: tuple[Delivery, ...]
    latest: bytes
    received_ms: int


class Subscription:
    """Reads ahead of its owner by what it has credit for, and not more."""

    def __init__(
        self, call: Any, topic: str, ended: Callable[[PubSubError], None], org_now_ms: Callable[[], int]
    ) -> None:
        self._call = call
        self._topic = topic
        self._ended = ended
        self._org_now_ms = org_now_ms
        self._arrived: asyncio.Queue[Fetched | PubSubError] = asyncio.Queue(_HELD)
        self.held = 0
        """Events that have come and were not received yet: when the stream is closed they came for nothing."""
        self._reader = asyncio.create_task(self._read(), name=f"subscription {topic}")
        self._reader.add_done_callback(self._died)

    async def receive(self) -> list[Fetched]:
        """Everything that has arrived, at least one response, without waiting for more. Raises PubSubError."""
        first = await self._arrived.get()
        if isinstance(first, PubSubError):
            raise first
        found = [first]
        while not self._arrived.empty():
            after = self._arrived.get_nowait()
            if isinstance(after, PubSubError):
                self._arrived.put_nowait(after)
                break
            found.append(after)
        self.held -= sum(len(fetched.deliveries) for fetched in found)
        return found

    async def ask(self, events: int, **start: Any) -> None:
        """Allow so many more events. A stream that has ended says why when it is received from."""
        request = pb.FetchRequest(topic_name=self._topic, num_requested=events, **start)
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.write(request)

    async def close(self) -> None:
        """End the stream; what it still holds is dropped."""
        self._reader.cancel()
        await asyncio.wait({self._reader})
        self._call.cancel()
        if not self._reader.cancelled() and (fault := self._reader.exception()) is not None:
            raise fault

    def _died(self, reader: asyncio.Task[None]) -> None:
        """A fault of the reader itself wakes the owner, whom `close` then tells what it was."""
        if not reader.cancelled() and reader.exception() is not None and not self._arrived.full():
            self._arrived.put_nowait(Interrupted("CLIENT", "the reader of the stream failed"))

    async def _read(self) -> None:
        try:
            while (response := await self._call.read()) is not grpc.aio.EOF:
                self.held += len(response.events)
                await self._arrived.put(_fetched(response, self._org_now_ms()))
            error: PubSubError = Interrupted("OK", "the service ended the stream")
        except grpc.aio.AioRpcError as failure:
            error = failure_of(failure)
        self._ended(error)
        await self._arrived.put(error)


def _fetched(response: Any, received_ms: int) -> Fetched:
    deliveries = tuple(Delivery(item.replay_id, item.event.schema_id, item.event.payload) for item in response.events)
    return Fetched(deliveries, response.latest_replay_id, received_ms)


def failure_of(error: grpc.aio.AioRpcError) -> PubSubError:
    """What a failed call means, by its trailers and status."""
    trailers = dict(error.trailing_metadata() or ())
    code = trailers.get("error-code", "")
    return error_of(error.code().name, code.decode() if isinstance(code, bytes) else code, error.details() or "")
