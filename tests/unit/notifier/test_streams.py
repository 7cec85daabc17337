"""Frames of one order's stream: nothing is claimed before it is sent, and a slow reader gets the newest state."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from schemas.events import OrderStatus
from services.notifier.cursor import OrderCursor, Sealer
from services.notifier.ring import Ring
from services.notifier.streams import OrderStream
from services.notifier.verdict import Plan, Snapshot, decide
from tests.unit.notifier.worlds import ACCOUNT, KEYS, ORDER, entry, ring, snapshot, state, status_at

SEALER = Sealer(KEYS, "epoch", 1)


@dataclass
class Socket:
    blocked: bool = False
    frames: list[dict[str, Any]] = field(default_factory=list)
    why: str | None = None

    def write(self, block: bytes) -> None:
        for part in block.decode().split("\n\n"):
            if part:
                lines = dict(line.split(": ", 1) for line in part.split("\n"))
                held = SEALER.open_order(lines["id"], ORDER, ACCOUNT, 0) if "id" in lines else None
                self.frames.append({**lines, "data": json.loads(lines["data"]), "cursor": held})

    def end(self, reason: str) -> None:
        self.why = self.why or reason

    def cursors(self) -> list[OrderCursor | None]:
        return [frame["cursor"] for frame in self.frames]


def opened(held: Ring, cursor: OrderCursor | None, snap: Snapshot | None = None) -> tuple[OrderStream, Socket]:
    plan = decide(held, cursor, held.pos, snap)
    assert isinstance(plan, Plan)
    socket = Socket()
    stream = OrderStream(
        ORDER,
        ACCOUNT,
        partition=0,
        ring=held,
        sealer=SEALER,
        wire=socket,
        greet=lambda resume: {"resume": resume},
    )
    stream.open(plan, 700)
    return stream, socket


def offered(stream: OrderStream, held: Ring, *statuses: OrderStatus) -> None:
    for status in statuses:
        made = entry(held.pos, status)
        held.append(made)
        stream.offer(made)


def test_no_cursor_claims_a_state_before_it_is_sent() -> None:
    _, socket = opened(ring([], pos=4), None, snapshot(status_at(0, 1), 4))

    first, second = socket.frames
    assert (first["event"], first["cursor"], first["retry"]) == ("stream", None, "700")
    assert second["cursor"].version == second["data"]["version"]


def test_late_snapshot_claims_its_state_with_it_and_closes_the_hole() -> None:
    held = ring([], base=9)
    stream, socket = opened(held, None, snapshot(None, 0))
    assert socket.cursors()[0] is not None
    assert socket.cursors()[0].hole  # type: ignore[union-attr]

    assert not stream.heal(snapshot(status_at(0, 1), 8))
    assert stream.heal(snapshot(status_at(0, 1), 9))

    told, update = socket.frames[1:]
    assert (told["data"]["resume"], told["cursor"]) == ("snapshot", None)
    assert (update["cursor"].hole, update["cursor"].version) == (False, update["data"]["version"])


def test_blocked_client_gets_the_newest_state_once_and_no_heartbeat_meanwhile() -> None:
    held = ring([])
    stream, socket = opened(held, None, snapshot(None, 0))
    socket.blocked = True
    offered(stream, held, *(status_at(n, n, f"Step{n}") for n in range(5)))
    stream.beat(b"{}")
    assert len(socket.frames) == 1

    socket.blocked = False
    stream.beat(b"{}")
    offered(stream, held, status_at(5, 5, "Step5"))
    assert len(socket.frames) == 1
    assert stream.flush()

    assert socket.frames[-1]["data"]["status"] == "Step5"
    assert socket.frames[-1]["data"]["skipped"] == 5


def test_heartbeat_follows_the_log_past_records_of_other_orders_and_markers() -> None:
    held = ring([])
    stream, socket = opened(held, None, snapshot(None, 0))
    held.append(entry(0, status_at(0, 0, order_id=ACCOUNT)))
    held.advance(7)

    stream.beat(b"{}")

    assert socket.frames[-1]["event"] == "heartbeat"
    assert socket.frames[-1]["cursor"].next == 7


def test_end_of_the_order_ends_the_stream_after_it_has_been_sent() -> None:
    held = ring([])
    stream, socket = opened(held, None, snapshot(None, 0))
    socket.blocked = True
    offered(stream, held, status_at(0, 1, "Completed"))
    before = socket.why

    socket.blocked = False
    stream.flush()

    assert (before, socket.why) == (None, "terminal")
    assert socket.frames[-1]["cursor"].terminal


def test_echo_moves_the_cursor_and_is_not_shown() -> None:
    held = ring([])
    stream, socket = opened(held, None, snapshot(None, 0))
    offered(stream, held, status_at(0, 1, "Activating", reason="SIM_SHIPPED"), status_at(1, 2, "Activating"))
    stream.beat(b"{}")

    shown = [frame for frame in socket.frames if frame["event"] == "order.update"]
    assert len(shown) == 1
    last = socket.frames[-1]["cursor"]
    assert last.version == status_at(1, 2, "Activating").version
    assert last.shown == state(status_at(0, 1, "Activating", reason="SIM_SHIPPED")).content


def test_client_ahead_in_another_log_is_healed_by_a_snapshot() -> None:
    held = ring([])
    mine = status_at(0, 5, "Draft")
    at = OrderCursor(next=2, version=mine.version, shown=state(mine).content, terminal=False, hole=False, fp=4711)
    plan = decide(held, at, 2, None)
    assert plan is not None
    socket = Socket()
    stream = OrderStream(
        ORDER, ACCOUNT, partition=0, ring=held, sealer=SEALER, wire=socket, greet=lambda resume: {"resume": resume}
    )
    stream.open(plan, 700)
    offered(stream, held, status_at(0, 6, "Activating"), status_at(1, 7, "Activated"))
    stream.check_ahead()
    assert stream.has_gap

    stream.heal(snapshot(status_at(1, 7, "Activated"), 2))

    assert socket.frames[-1]["data"]["status"] == "Activated"
