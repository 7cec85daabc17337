"""Any history, any disconnects, two instances: what the client ends up with is the fold of the log.

The machine drives the real ring, verdict, stream and cursor; only the socket, the broker and the projector are
played. A disconnect loses any part of what has been written and not yet read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

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


class Resuming(RuleBasedStateMachine):
    @initialize(reasons=st.booleans())
    def begin(self, reasons: bool) -> None:
        self.log: dict[int, Entry] = {}
        self.statuses: list[OrderStatus] = []
        self.end = 0
        self.applied = 0
        self.reasons = reasons
        self.instances = [Instance(Ring(0, SMALL)), Instance(Ring(0, SMALL))]
        self.cursor: str | None = None
        self.shown: list[dict[str, Any]] = []
        self.complete = True
        self.stream: OrderStream | None = None
        self.serving = self.instances[0]
        self.wire = Socket()

    @rule(
        at=st.integers(0, 12),
        status=st.sampled_from(("Draft", "Activating", "Activated")),
        reason=st.sampled_from((None, "A", "B")),
        mine=st.booleans(),
    )
    def somebody_reports(self, at: int, status: str, reason: str | None, mine: bool) -> None:
        made = status_at(
            self.end, at, status, reason=reason if self.reasons else None, order_id=ORDER if mine else OTHER_ORDER
        )
        self.log[self.end] = entry(self.end, made)
        self.statuses += [made] if mine else []
        self.end += 1

    @rule()
    def a_transaction_ends(self) -> None:
        self.end += 1

    @rule(until=st.integers(1, 4))
    def the_projector_applies(self, until: int) -> None:
        self.applied = min(self.end, self.applied + until)

    @rule(which=st.integers(0, 1), records=st.integers(1, 4))
    def an_instance_reads(self, which: int, records: int) -> None:
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

    @rule(which=st.integers(0, 1), window=st.integers(0, 6))
    def an_instance_starts_again(self, which: int, window: int) -> None:
        instance = self.instances[which]
        if instance is self.serving:
            self.lose(0)
        instance.ring = Ring(max(0, self.end - window), SMALL)

    @precondition(lambda self: self.stream is None)
    @rule(which=st.integers(0, 1), room=st.sampled_from((1, 3, 10**6)))
    def the_client_connects(self, which: int, room: int) -> None:
        self.connect(which, room)

    def connect(self, which: int, room: int) -> None:
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

    @precondition(lambda self: self.stream is not None)
    @rule()
    def the_client_reads(self) -> None:
        self.deliver(len(self.wire.written))

    def deliver(self, blocks: int) -> None:
        for block in self.wire.written[:blocks]:
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            self.cursor = lines.get("id", self.cursor)
            if lines["event"] == "order.update":
                self.shown.append(json.loads(lines["data"]))
                self.complete = self.complete and "skipped" not in self.shown[-1]
        del self.wire.written[:blocks]

    @precondition(lambda self: self.stream is not None)
    @rule()
    def the_socket_takes_more(self) -> None:
        assert self.stream is not None
        self.stream.flush()

    @precondition(lambda self: self.stream is not None)
    @rule()
    def a_heartbeat_is_due(self) -> None:
        assert self.stream is not None
        self.stream.beat(b"{}")

    @precondition(lambda self: self.stream is not None)
    @rule()
    def a_gap_may_be_healed(self) -> None:
        assert self.stream is not None
        self.stream.heal(self.row())

    @precondition(lambda self: self.stream is not None)
    @rule(part=st.integers(0, 5))
    def the_connection_breaks(self, part: int) -> None:
        self.lose(part)

    def lose(self, part: int) -> None:
        stream, self.stream = self.stream, None
        self.deliver(part)
        self.wire.written.clear()
        assert stream is not None or not self.wire.written

    @invariant()
    def no_version_is_shown_twice_or_back_in_time(self) -> None:
        versions = [shown["version"] for shown in self.shown]
        assert versions == sorted(set(versions))

    @invariant()
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

    def teardown(self) -> None:
        """At rest the client shows what the log says."""
        if not hasattr(self, "log"):
            return
        if self.stream is None:
            self.connect(0, 10**6)
        self.wire.room = 10**6
        self.read(self.serving, self.end)
        self.applied = self.end
        assert self.stream is not None
        self.stream.flush()
        self.stream.heal(self.row())
        assert not self.stream.has_gap
        self.deliver(len(self.wire.written))
        self.no_version_is_shown_twice_or_back_in_time()
        if self.complete:
            self.every_change_was_shown_once()
        if self.statuses:
            newest = max(self.statuses, key=lambda each: each.version)
            assert self.shown
            assert self.shown[-1]["status"] == newest.status
            assert newest.reason in (None, self.shown[-1]["reason"])


Resuming.TestCase.settings = settings(
    max_examples=250, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestResuming = Resuming.TestCase
