"""One Subscribe stream: what has arrived, at once and all of it; more comes only when it is asked for.

A response without events says that all before it has come, but not when it was sent. It is dated by when it was read
only if the process ran all the time and no event and no end of the stream was right behind it: then nothing lay in
between. Else it is dated by the last moment of which that is known, which may be long before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc

from services.salesforce.pubsub.errors import Interrupted, PubSubError, error_of
from services.salesforce.pubsub.generated import pubsub_api_pb2 as pb
from services.salesforce.pubsub.pulse import BEAT_SECONDS, Pulse

MOST_CREDIT = 100
"""Salesforce's cap on the events that one stream may be owed."""

SETTLED_SECONDS = 0.5
"""Quiet after a response without events: what a stalled connection kept back comes within a few round trips of it."""

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
    received_ms: by the org's clock at the earliest, when it was read; without deliveries, when it was sent
    """

    deliveries: tuple[Delivery, ...]
    latest: bytes
    received_ms: int


@dataclass(slots=True)
class _Quiet:
    """Responses without events that wait for what may be right behind them. until_ms: what the first of them claims"""

    latest: bytes
    until_ms: int
    settled_at: float


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
        self._pulse = Pulse(asyncio.get_running_loop().time, org_now_ms)
        self._known_ms = self._pulse.beat()  # the stream is asked for after this, so nothing of it was sent before
        self._quiet: _Quiet | None = None
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
        reading = asyncio.ensure_future(self._call.read())
        try:
            while (response := await self._next(reading)) is not grpc.aio.EOF:
                reading = asyncio.ensure_future(self._call.read())
                await self._take(response)
            error: PubSubError = Interrupted("OK", "the service ended the stream")
        except grpc.aio.AioRpcError as failure:
            error = failure_of(failure)
        finally:
            reading.cancel()
        self._ended(error)
        await self._release(self._known_ms)
        await self._arrived.put(error)

    async def _next(self, reading: asyncio.Future[Any]) -> Any:
        """The next response; meanwhile the pulse beats, and what waits for quiet is let go."""
        while not reading.done():
            await asyncio.wait({reading}, timeout=BEAT_SECONDS)
            self._pulse.beat()
            if not reading.done():
                await self._settle()
        return reading.result()

    async def _take(self, response: Any) -> None:
        sent_ms = self._pulse.beat()
        if response.events:
            await self._release(self._known_ms)
            self.held += len(response.events)
            await self._arrived.put(_fetched(response, self._org_now_ms()))
            return
        await self._settle()
        if response.pending_num_requested <= 0:  # nothing was owed, so events may wait that it does not speak of
            await self._release(self._known_ms)
            await self._arrived.put(Fetched((), b"", self._known_ms))
        elif self._quiet is None:
            settled_at = asyncio.get_running_loop().time() + SETTLED_SECONDS
            self._quiet = _Quiet(response.latest_replay_id, sent_ms, settled_at)
        else:
            self._quiet.latest = response.latest_replay_id or self._quiet.latest

    async def _settle(self) -> None:
        """To be called while no event has come: a quiet that lasted says what it claims."""
        quiet = self._quiet
        if quiet and self._pulse.steady and asyncio.get_running_loop().time() >= quiet.settled_at:
            self._known_ms = max(self._known_ms, quiet.until_ms)
            await self._release(self._known_ms)

    async def _release(self, until_ms: int) -> None:
        """Its position is good in any case: the service says that nothing before it is missing."""
        quiet, self._quiet = self._quiet, None
        if quiet is not None:
            await self._arrived.put(Fetched((), quiet.latest, until_ms))


def _fetched(response: Any, received_ms: int) -> Fetched:
    deliveries = tuple(Delivery(item.replay_id, item.event.schema_id, item.event.payload) for item in response.events)
    return Fetched(deliveries, response.latest_replay_id, received_ms)


def failure_of(error: grpc.aio.AioRpcError) -> PubSubError:
    """What a failed call means, by its trailers and status."""
    trailers = dict(error.trailing_metadata() or ())
    code = trailers.get("error-code", "")
    return error_of(error.code().name, code.decode() if isinstance(code, bytes) else code, error.details() or "")
