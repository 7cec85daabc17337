"""What armed faults do to one running Subscribe stream.

A fault meets a stream as the stream begins, after each answer with events, and when the board changes.
"""

import asyncio
from typing import Any

from sandbox.salesforce.eventbus import StoredEvent
from sandbox.salesforce.faults import pubsub as kinds
from sandbox.salesforce.faults.board import Armed
from sandbox.salesforce.faults.rest import Revoke
from sandbox.salesforce.generated import pubsub_api_pb2 as pb
from sandbox.salesforce.instance import Instance
from sandbox.salesforce.pubsub.faults import of_code, void_token

_NOISE = b"\xff" * 24  # no Avro record begins with lengths like these


class Troubled:
    """The faults of a stream on one topic.  `wake` is what the stream waits for; the board sets it too."""

    def __init__(self, instance: Instance, context: Any, topic: str, rpc_id: str, wake: asyncio.Event) -> None:
        self._instance = instance
        self._board = instance.faults
        self._context = context
        self._topic = topic
        self._rpc_id = rpc_id
        self._wake = wake
        self._met = (-1, -1)
        self.delivered = 0

    async def ended(self) -> bool:
        """Lets what is armed happen; True when the stream is to end well.  Raises Fault when it is to end ill."""
        now = (self.delivered, self._board.changes)
        if now == self._met:
            return False
        self._met = now
        if (stall := self._board.strike(kinds.Stall, self._topic)) is not None:
            await self._stall(stall)
        if (cut := self._board.take(kinds.Cut, self._topic, where=self._due)) is not None:
            await self._cut(cut)
        if (revoke := self._board.take(Revoke, self._topic, where=lambda f: f.on == "stream")) is not None:
            void_token(self._instance, self._context, revoke)
            raise of_code("service.auth.error")
        error = self._board.take(
            kinds.Error, self._topic, where=lambda f: f.rpc == "Subscribe" and f.at == "stream" and self._due(f)
        )
        if error is not None:
            raise of_code(error.code)
        return self._board.take(kinds.End, self._topic, where=self._due) is not None

    def _due(self, fault: kinds.Error | kinds.Cut | kinds.End) -> bool:
        return fault.after <= self.delivered

    async def _stall(self, armed: Armed[kinds.Stall]) -> None:
        seconds = armed.fault.seconds
        until = None if seconds is None else asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(until):
                while self._board.holds(armed) and self._instance.switch.on:
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.set()  # what came meanwhile

    async def _cut(self, cut: kinds.Cut) -> None:
        """Does not return while the connection lasts: the reset, or the client that gives up, cancels the rpc."""
        self._instance.gate.cut(self._rpc_id.encode(), cut)
        await self._context.write(pb.FetchResponse(rpc_id=self._rpc_id))
        while self._instance.switch.on:
            self._wake.clear()
            await self._wake.wait()

    def most(self) -> int:
        """How many events the next answer may hold, so that a fault due after so many finds just as many delivered."""
        due = [
            fault.after - self.delivered
            for fault in self._board.pending(self._topic)
            if isinstance(fault, kinds.Error | kinds.Cut | kinds.End) and fault.after > self.delivered
        ]
        if (slices := self._board.take(kinds.Slices, self._topic)) is not None:
            due.append(slices.events)
        return min(due, default=1_000_000)

    def keepalive_withheld(self) -> bool:
        return self._board.take(kinds.NoKeepalive, self._topic) is not None

    def patience(self, seconds: float) -> float:
        """How long a stream without credit is kept."""
        sooner = self._board.take(kinds.ZeroCredit, self._topic)
        return seconds if sooner is None else sooner.seconds

    def repeats(self) -> bool:
        return self._board.take(kinds.Duplicate, self._topic) is not None

    def latest(self, replay_id: bytes, *, has_events: bool) -> bytes:
        kind = "events" if has_events else "keepalive"
        lost = self._board.take(kinds.NoLatestReplayId, self._topic, where=lambda f: f.on in ("any", kind))
        return replay_id if lost is None else b""

    def event(self, event: StoredEvent, replay_id: bytes) -> Any:
        """One event as this stream sends it."""
        schema_id, payload = event.schema_id, event.payload
        bad = self._board.take(kinds.Undecodable, self._topic)
        if bad is not None and bad.how == "payload":
            payload = _NOISE
        elif bad is not None:
            schema_id = "AAAAAAAAAAAAAAAAAAAAAA"
        if self._board.take(kinds.NoReplayId, self._topic) is not None:
            replay_id = b""
        inner = pb.ProducerEvent(id=event.id, schema_id=schema_id, payload=payload)
        return pb.ConsumerEvent(event=inner, replay_id=replay_id)
