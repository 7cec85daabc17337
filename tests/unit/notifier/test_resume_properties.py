"""Any history, any disconnects, two instances: what the client ends up with is the fold of the log.

The test drives the real ring, verdict, stream and cursor; only the socket, the broker and the projector are
played. A disconnect loses any part of what has been written and not yet read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import OrderStatus
from services.notifier import verdict
from services.notifier.cursor import Sealer
from services.notifier.ring import OVERHEAD, Entry, Ring
from services.notifier.streams import OrderStream
from services.notifier.verdict import Snapshot
from services.notifier.view import View
from tests.unit.notifier.worlds import ACCOUNT, KEYS, ORDER, OTHER_ORDER, entry, state, status_at

SEALER = Sealer(KEYS, "epoch", 1)
SMALL = 4 * (OVERHEAD + 300)
"""A ring of about four records, so that trimming happens."""


@dataclass
class Socket:
    """What has been written to it is read later, or lost; `room` blocks fit into the kernel."""

    room: int = 10**6
    written: list[str] = field(default_factory=list)
    why: str | None = None

    @property
    def blocked(self) -> bool:
        return len(self.written) >= self.room

    def write(self, block: bytes) -> None:
        self.written += [part for part in block.decode().split("\n\n") if part]

    def end(self, reason: str) -> None:
        self.why = self.why or reason


@dataclass
class Instance:
    ring: Ring


@dataclass
class World:
    """One order, another one beside it, one client, and everything that may happen to them."""

    log: dict[int, Entry] = field(default_factory=dict)
    statuses: list[OrderStatus] = field(default_factory=list)
    end: int = 0
    applied: int = 0
    instances: list[Instance] = field(default_factory=lambda: [Instance(Ring(0, SMALL)), Instance(Ring(0, SMALL))])
    cursor: str | None = None
    shown: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = True
    stream: OrderStream | None = None
    wire: Socket = field(default_factory=Socket)

    def __post_init__(self) -> None:
        self.serving = self.instances[0]

    def reports(self, at: int, status: str, reason: str | None, order_id: str) -> None:
        made = status_at(self.end, at, status, reason=reason, order_id=order_id)
        self.log[self.end] = entry(self.end, made)
        self.statuses += [made] if order_id == ORDER else []
        self.end += 1

    def marker(self) -> None:
        self.end += 1

    def applies(self, records: int) -> None:
        self.applied = min(self.end, self.applied + records)

    def reads(self, which: int, records: int) -> None:
        self.read(self.instances[which], records)

    def read(self, instance: Instance, records: int) -> None:
        ring = instance.ring
        for offset in range(ring.pos, min(self.end, ring.pos + records)):
            found = self.log.get(offset)
            if found is not None:
                ring.append(found)
                if self.stream is not None and instance is self.serving and found.order_id == ORDER:
                    self.stream.offer(found)
            ring.advance(offset + 1)
        if self.stream is not None and instance is self.serving:
            self.stream.check_ahead()

    def starts_again(self, which: int, window: int) -> None:
        instance = self.instances[which]
        if instance is self.serving:
            self.breaks(0)
        instance.ring = Ring(max(0, self.end - window), SMALL)

    def connects(self, which: int, room: int) -> None:
        if self.stream is not None:
            return
        self.serving, self.wire = self.instances[which], Socket(room)
        ring = self.serving.ring
        held = SEALER.open_order(self.cursor, ORDER, ACCOUNT, 0) if self.cursor else None
        plan = verdict.decide(ring, held, self.end, None) or verdict.decide(ring, held, self.end, self.row())
        assert plan is not None
        # From a snapshot of nothing the whole log follows; any later one may spare the client some states.
        from_nothing = plan.resume == "snapshot" and plan.join == 0
        self.complete = self.complete and (plan.resume == "exact" or from_nothing)
        self.stream = OrderStream(
            ORDER,
            ACCOUNT,
            partition=0,
            ring=ring,
            sealer=SEALER,
            wire=self.wire,
            greet=lambda resume: {"resume": resume},
        )
        self.stream.open(plan, 1000)

    def row(self) -> Snapshot:
        """What the projector's rows say: the greatest version below its position, with the reason that is known."""
        seen = sorted(
            (each for each in self.log.values() if each.order_id == ORDER and each.offset < self.applied),
            key=lambda each: each.version,
        )
        by_version = {each.version: each for each in self.statuses}
        return Snapshot(state(by_version[seen[-1].version]) if seen else None, ACCOUNT, self.applied)

    def client_reads(self, blocks: int) -> None:
        self.deliver(blocks)

    def deliver(self, blocks: int) -> None:
        for block in self.wire.written[:blocks]:
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            self.cursor = lines.get("id", self.cursor)
            if lines["event"] == "order.update":
                self.shown.append(json.loads(lines["data"]))
                self.complete = self.complete and "skipped" not in self.shown[-1]
        del self.wire.written[:blocks]

    def socket_takes_more(self) -> None:
        if self.stream is not None:
            self.stream.flush()

    def beats(self) -> None:
        if self.stream is not None:
            self.stream.beat(b"{}")

    def heals(self) -> None:
        if self.stream is not None:
            self.stream.heal(self.row())

    def breaks(self, read_before: int) -> None:
        self.stream = None
        self.deliver(read_before)
        self.wire.written.clear()

    def no_version_is_shown_twice_or_back_in_time(self) -> None:
        versions = [shown["version"] for shown in self.shown]
        assert versions == sorted(set(versions))

    def a_cursor_claims_only_what_was_shown(self) -> None:
        held = SEALER.open_order(self.cursor, ORDER, ACCOUNT, 0) if self.cursor else None
        if held is None or held.hole:
            return
        below = [each.version for each in self.log.values() if each.order_id == ORDER and each.offset < held.next]
        assert max(below, default="") <= (held.version or "")
        if held.version is not None:
            claimed = next(each for each in self.statuses if each.version == held.version)
            assert self.shown
            assert self.shown[-1]["status"] == claimed.status

    def every_change_was_shown_once(self) -> None:
        fold = View(0)
        mine = [each for each in self.log.values() if each.order_id == ORDER]
        assert [shown["version"] for shown in self.shown] == [each.version for each in mine if fold.accept(each)]

    def comes_to_rest(self) -> None:
        """Everything is read and applied, and the client is connected."""
        self.connects(0, 10**6)
        self.wire.room = 10**6
        self.read(self.serving, self.end)
        self.applied = self.end
        assert self.stream is not None
        self.stream.flush()
        self.stream.heal(self.row())
        assert not self.stream.has_gap
        self.deliver(10**6)

    def the_client_shows_what_the_log_says(self) -> None:
        if self.statuses:
            newest = max(self.statuses, key=lambda each: each.version)
            assert self.shown
            assert self.shown[-1]["status"] == newest.status
            assert newest.reason in (None, self.shown[-1]["reason"])


# A step is two bytes: what happens, and how. Drawn as bytes because a tree of strategies costs more than the steps.
LENGTHS = st.integers(1, 45)
HISTORIES = LENGTHS.flatmap(lambda steps: st.binary(min_size=2 * steps, max_size=2 * steps))
STATUSES, REASONS, ROOMS = ("Draft", "Activating", "Activated"), (None, None, "A", "B"), (1, 2, 3, 10**6)
ORDERS = (ORDER, ORDER, ORDER, OTHER_ORDER)
Action = Callable[[World, int, int], None]


def _report(world: World, low: int, high: int) -> None:
    world.reports(low, STATUSES[high % 3], REASONS[high // 4], ORDERS[high % 4])


ACTIONS: tuple[Action, ...] = (
    *[_report] * 4,
    *[lambda world, low, high: world.reads(high % 2, 1 + low % 4)] * 2,
    *[lambda world, low, high: world.connects(high % 2, ROOMS[low % 4])] * 2,
    lambda world, low, _: world.client_reads(1 + low),
    lambda world, _low, _high: world.beats(),
    lambda world, _low, _high: world.marker(),
    lambda world, low, _: world.applies(1 + low % 4),
    lambda world, low, high: world.starts_again(high % 2, low % 7),
    lambda world, _low, _high: world.socket_takes_more(),
    lambda world, _low, _high: world.heals(),
    lambda world, low, _: world.breaks(low % 6),
)


@settings(max_examples=1_000, deadline=None)
@given(HISTORIES)
def test_client_ends_with_the_fold_of_the_log_and_never_goes_back(history: bytes) -> None:
    world = World()
    for what, how in zip(history[::2], history[1::2], strict=True):
        ACTIONS[what % len(ACTIONS)](world, how % 16, how // 16)
        world.no_version_is_shown_twice_or_back_in_time()
        world.a_cursor_claims_only_what_was_shown()

    world.comes_to_rest()

    world.no_version_is_shown_twice_or_back_in_time()
    world.the_client_shows_what_the_log_says()
    if world.complete:
        world.every_change_was_shown_once()
