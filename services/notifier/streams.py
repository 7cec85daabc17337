"""The stream of one order: what its client is sent, frame by frame. No I/O: it writes to a `Wire` and never waits.

Everything goes through one queue of one place. While the wire is blocked the place holds the newest state and
counts what it replaced, and no heartbeat is written: so a cursor never runs ahead of what is on the socket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from services.notifier import sse
from services.notifier.cursor import OrderCursor, Sealer
from services.notifier.ring import Entry, Ring
from services.notifier.verdict import Plan, Snapshot
from services.notifier.view import View

Greeting = Callable[[sse.Resume], dict[str, Any]]
"""Makes the data of an `event: stream` frame."""


class Wire(Protocol):
    """One client's connection."""

    @property
    def blocked(self) -> bool:
        """Whether the kernel holds all it takes for this client."""

    def write(self, block: bytes) -> None: ...

    def end(self, reason: str) -> None:
        """Close after what has been written; the first reason counts."""


class OrderStream:
    """One client on one order. `open` comes first; then whatever the log says is offered."""

    kind = "order"

    def __init__(
        self,
        order_id: str,
        account_id: str,
        *,
        partition: int,
        ring: Ring,
        sealer: Sealer,
        wire: Wire,
        greet: Greeting,
    ) -> None:
        self.order_id = order_id
        self.account_id = account_id
        self.partition = partition
        self.wire = wire
        self.hole_until: int | None = None
        self._ring = ring
        self._sealer = sealer
        self._greet = greet
        self._view = View(ring.pos)
        self._ahead: tuple[int, int] | None = None
        self._newest: Entry | None = None
        self._skipped = 0

    def open(self, plan: Plan, retry_ms: int) -> None:
        """Say how the stream goes on, then what the client has missed, in one write."""
        self._view = View.of(plan)
        self.hole_until = plan.hole_until
        self._ahead = None if plan.ahead is None else (plan.join, plan.ahead)
        # Until the state is on the wire, no cursor may claim it.
        held = None if plan.state else self._seal(plan.join)
        blocks = [sse.frame("stream", sse.encode(self._greet(plan.resume)), cursor=held, retry_ms=retry_ms)]
        if plan.state is not None:
            blocks.append(sse.update(plan.state.data, self._seal(plan.join)))
        for entry, skipped in self._view.replay(self._ring.of(self.order_id, plan.join)):
            blocks.append(sse.update(entry.data, self._seal(entry.offset + 1), skipped))
        self.wire.write(b"".join(blocks))
        self._end_if_finished()

    def offer(self, entry: Entry) -> None:
        """The next record of this order in the log."""
        if not self._view.accept(entry):
            return
        if self._newest is not None or self.wire.blocked:
            self._skipped += self._newest is not None
            self._newest = entry
        else:
            self._send(entry, 0)

    def adopt(self, entry: Entry) -> None:
        """Of no concern to a stream that hears of its order by the order's id."""

    def flush(self) -> bool:
        """Write what waits, once the wire takes it again; True when nothing waits any more."""
        if self._newest is None:
            return True
        if self.wire.blocked:
            return False
        newest, skipped, self._newest, self._skipped = self._newest, self._skipped, None, 0
        self._send(newest, skipped)
        return True

    @property
    def waiting(self) -> bool:
        return self._newest is not None

    def beat(self, data: bytes) -> None:
        """A heartbeat: the cursor of a quiet order follows the log, so it never grows too old."""
        if self._newest is None and not self.wire.blocked:
            self.wire.write(sse.frame("heartbeat", data, cursor=self._seal(self._position())))

    def tell(self, event: str, data: bytes, retry_ms: int | None = None) -> None:
        """A notice that is no state and moves no cursor."""
        if not self.wire.blocked:
            self.wire.write(sse.frame(event, data, retry_ms=retry_ms))

    def heal(self, snapshot: Snapshot) -> bool:
        """Close the gap, if this snapshot reaches far enough and the wire takes it; says whether it did."""
        if self.hole_until is None or snapshot.next_offset < self.hole_until or not self.flush():
            return False
        self.hole_until = None
        state = snapshot.state
        shows = state is not None and self._view.accept_state(state)
        held = self._seal(self._position())
        blocks = [sse.frame("stream", sse.encode(self._greet("snapshot")), cursor=None if shows else held)]
        if state is not None and shows:
            blocks.append(sse.update(state.data, held))
        self.wire.write(b"".join(blocks))
        self._end_if_finished()
        return True

    @property
    def is_ahead(self) -> bool:
        """Whether the client has read further than this instance."""
        return self._ahead is not None

    @property
    def has_gap(self) -> bool:
        return self.hole_until is not None

    def check_ahead(self) -> None:
        """Once the instance has read up to the client's place: was it of this log? Else the stream has a gap."""
        if self._ahead is None or self._ring.pos < self._ahead[0]:
            return
        place, fp = self._ahead
        self._ahead = None
        if self._ring.fp_below(place) != fp:
            self.hole_until = self._ring.pos

    def _send(self, entry: Entry, skipped: int) -> None:
        self.wire.write(sse.update(entry.data, self._seal(entry.offset + 1), skipped))
        self._end_if_finished()

    def _end_if_finished(self) -> None:
        if self._view.terminal and self._newest is None and self.hole_until is None:
            self.wire.end("terminal")

    def _position(self) -> int:
        return max(self._view.next, self._ring.pos)

    def _seal(self, following: int) -> str:
        """A cursor at an offset; where the log has not been read that far, at where it has been."""
        place, fp = self._place(following)
        view = self._view
        cursor = OrderCursor(
            next=place,
            version=view.last,
            shown=view.shown,
            terminal=view.terminal,
            hole=self.hole_until is not None,
            fp=fp,
        )
        return self._sealer.seal_order(self.order_id, self.account_id, self.partition, cursor)

    def _place(self, following: int) -> tuple[int, int]:
        if self._ahead is not None and following == self._ahead[0]:
            return self._ahead
        place = min(following, self._ring.pos)
        # 0 stands for "not known": such a cursor is answered with a snapshot.
        return place, self._ring.fp_below(place) or 0
