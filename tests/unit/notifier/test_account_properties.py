"""The stream of an account: any history of three orders over two partitions, any disconnects, two instances.

The client keeps its contract, to ignore a version not greater than the one shown; it ends with the fold of the log.
Some records name no account: they are held back until the order's row does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from schemas import ids
from schemas.events import OrderStatus
from services.kernel.clock import SYSTEM
from services.kernel.health import Gate
from services.kernel.settings import load
from services.notifier import account_verdict
from services.notifier.account_stream import AccountStream
from services.notifier.account_verdict import AccountSnapshot
from services.notifier.cursor import Sealer
from services.notifier.hub import Hub
from services.notifier.metrics import Metrics
from services.notifier.ring import OVERHEAD, Entry, Ring
from services.notifier.settings import Settings
from services.notifier.verdict import State
from tests.unit.notifier.worlds import ACCOUNT, KEYS, OTHER_ACCOUNT, entry, state, status_at

SEALER = Sealer(KEYS, "epoch", 2)
SMALL = 5 * (OVERHEAD + 300)
MINE = tuple(ids.parse(f"80100000000000{n}") for n in range(3))
THEIRS = ids.parse("801000000000009")
STATUSES = ("Draft", "Activating", "Activated")

ENVIRON = dict.fromkeys(
    ("KAFKA_BOOTSTRAP", "POSTGRES_DSN", "VALKEY_URL", "JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE", "CURSOR_KEYS"), "x" * 40
)
SETTINGS = load(Settings, {f"UMBRA_{name}": value for name, value in ENVIRON.items()})


def new_hub() -> Hub:
    return Hub(SETTINGS, SYSTEM, Metrics(CollectorRegistry()), Gate("not read yet"))


def home(order_id: str) -> int:
    return MINE.index(order_id) % 2 if order_id in MINE else 1


@dataclass
class Socket:
    room: int = 10**6
    written: list[str] = field(default_factory=list)

    @property
    def blocked(self) -> bool:
        return len(self.written) >= self.room

    def write(self, block: bytes) -> None:
        self.written += [part for part in block.decode().split("\n\n") if part]

    def end(self, reason: str) -> None:
        raise AssertionError(reason)


@dataclass
class Instance:
    """A real hub over rings of its own."""

    rings: list[Ring] = field(default_factory=lambda: [Ring(0, SMALL), Ring(0, SMALL)])
    hub: Hub = field(default_factory=new_hub)
    stream: AccountStream | None = None

    def read(self, found: Entry) -> None:
        self.rings[found.partition].append(found)
        self.hub.on_entry(found)


@dataclass
class World:
    log: list[list[Entry]] = field(default_factory=lambda: [[], []])
    newest: dict[str, OrderStatus] = field(default_factory=dict)
    by_version: dict[str, OrderStatus] = field(default_factory=dict)
    applied: list[int] = field(default_factory=lambda: [0, 0])
    instances: list[Instance] = field(default_factory=lambda: [Instance(), Instance()])
    wire: Socket = field(default_factory=Socket)
    cursor: str | None = None
    view: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    serving: Instance | None = None

    def reports(self, order_id: str, at: int, status: str, named: bool) -> None:
        partition = home(order_id)
        owner = (ACCOUNT if order_id in MINE else OTHER_ACCOUNT) if named else None
        if named and not any(each.account_id for each in self._of(order_id)):
            # The limit that account_stream.py names: the first record with an account is the newest one.
            at = 100 + len(self.log[partition])
        made = status_at(len(self.log[partition]), at, status, order_id=order_id, account_id=owner)
        self.log[partition].append(entry(len(self.log[partition]), made, partition))
        self.by_version[made.version] = made
        if order_id in MINE:
            known = self.newest.get(order_id)
            self.newest[order_id] = made if known is None or made.version > known.version else known

    def applies(self, partition: int, records: int) -> None:
        self.applied[partition] = min(len(self.log[partition]), self.applied[partition] + records)

    def reads(self, instance: Instance, partition: int, records: int) -> None:
        ring = instance.rings[partition]
        for found in self.log[partition][ring.pos : ring.pos + records]:
            instance.read(found)
        if instance.stream is not None:
            instance.stream.check_ahead()

    def starts_again(self, instance: Instance, window: int) -> None:
        if instance is self.serving:
            self.breaks(0)
        instance.rings = [Ring(max(0, len(log) - window), SMALL) for log in self.log]
        instance.hub = new_hub()

    def connects(self, instance: Instance, room: int) -> None:
        if self.serving is not None:
            return
        rings = instance.rings
        held = SEALER.open_account(self.cursor, ACCOUNT) if self.cursor else None
        ends = [len(log) for log in self.log]
        plan = account_verdict.decide(rings, held, ends, None)
        if plan is None:
            rows = self.rows()
            for order_id in rows.states:
                instance.hub.learn(order_id, ACCOUNT)
            plan = account_verdict.decide(rings, held, ends, rows)
        assert plan is not None
        self.wire = Socket(room)
        stream = AccountStream(
            ACCOUNT,
            rings=rings,
            unowned=instance.hub.unowned,
            sealer=SEALER,
            wire=self.wire,
            greet=lambda resume: {"resume": resume},
        )
        stream.open(plan, list(instance.hub.records_of(ACCOUNT, rings, plan)), 700)
        instance.hub.registry.add(stream, ACCOUNT)
        instance.stream, self.serving = stream, instance

    def rows(self) -> AccountSnapshot:
        """Rows of the orders whose account the applied part of the log names."""
        states: dict[str, State] = {}
        for order_id in MINE:
            below = [e for e in self.log[home(order_id)][: self.applied[home(order_id)]] if e.order_id == order_id]
            if any(each.account_id for each in below):
                states[order_id] = state(self.by_version[max(each.version for each in below)])
        return AccountSnapshot(states, tuple(self.applied))

    def owners_are_asked(self, instance: Instance) -> None:
        for order_id in set(instance.hub.unowned.orders(100)) & set(self.rows().states):
            instance.hub.learn(order_id, ACCOUNT)

    def beats(self) -> None:
        if self.serving is not None and self.serving.stream is not None:
            self.serving.stream.beat(b"{}")

    def flushes(self) -> None:
        if self.serving is not None and self.serving.stream is not None:
            self.serving.stream.flush()

    def heals(self) -> None:
        if self.serving is not None and self.serving.stream is not None:
            self.serving.stream.heal(self.rows())

    def client_reads(self, blocks: int) -> None:
        for block in self.wire.written[:blocks]:
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            self.cursor = lines.get("id", self.cursor)
            if lines["event"] == "order.update":
                self._show(json.loads(lines["data"]))
        del self.wire.written[:blocks]

    def _show(self, update: dict[str, str]) -> None:
        order_id = update["orderId"]
        assert order_id in MINE
        if update["version"] > self.view.get(order_id, ""):
            self.view[order_id], self.shown[order_id] = update["version"], update["status"]

    def breaks(self, read_before: int) -> None:
        if self.serving is not None and self.serving.stream is not None:
            self.serving.hub.registry.remove(self.serving.stream)
            self.serving.stream = None
        self.serving = None
        self.client_reads(read_before)
        self.wire.written.clear()

    def comes_to_rest(self) -> None:
        """Every order's account gets named, everything is read and applied, and the client is connected."""
        for order_id in MINE:
            if order_id in self.newest and not any(e.account_id for e in self._of(order_id)):
                self.reports(order_id, 15, self.newest[order_id].status, named=True)
        self.applied = [len(log) for log in self.log]
        self.connects(self.instances[0], 10**6)
        assert self.serving is not None
        self.wire.room = 10**6
        for partition in (0, 1):
            self.reads(self.serving, partition, 10**6)
        self.flushes()
        self.owners_are_asked(self.serving)
        self.heals()
        self.client_reads(10**6)

    def _of(self, order_id: str) -> list[Entry]:
        return [each for each in self.log[home(order_id)] if each.order_id == order_id]


Action = Callable[[World, int, int], None]


def _report(world: World, low: int, high: int) -> None:
    world.reports((*MINE, THEIRS)[high % 4], low, STATUSES[low % 3], named=high >= 6)


ACTIONS: tuple[Action, ...] = (
    *[_report] * 4,
    *[lambda world, low, high: world.reads(world.instances[high % 2], low % 2, 1 + low // 4)] * 3,
    *[lambda world, low, high: world.connects(world.instances[high % 2], (1, 2, 3, 10**6)[low % 4])] * 2,
    lambda world, low, _: world.client_reads(1 + low),
    lambda world, _low, _high: world.beats(),
    lambda world, low, _: world.applies(low % 2, 1 + low // 4),
    lambda world, low, high: world.starts_again(world.instances[high % 2], low % 7),
    lambda world, _low, _high: world.flushes(),
    lambda world, _low, _high: world.heals(),
    lambda world, _low, high: world.owners_are_asked(world.instances[high % 2]),
    lambda world, low, _: world.breaks(low % 6),
)
LENGTHS = st.integers(1, 60)
HISTORIES = LENGTHS.flatmap(lambda steps: st.binary(min_size=2 * steps, max_size=2 * steps))


@settings(max_examples=800, deadline=None)
@given(HISTORIES)
def test_client_of_an_account_ends_with_the_fold_of_the_log(history: bytes) -> None:
    world = World()
    for what, how in zip(history[::2], history[1::2], strict=True):
        ACTIONS[what % len(ACTIONS)](world, how % 16, how // 16)

    world.comes_to_rest()

    assert world.shown == {order_id: newest.status for order_id, newest in world.newest.items()}
