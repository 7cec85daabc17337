"""What every stream of this instance shares, and what happens when the log says something."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from services.kernel.clock import Clock
from services.kernel.health import Gate
from services.notifier import sse
from services.notifier.access import Owners
from services.notifier.account_verdict import AccountPlan
from services.notifier.log import Log
from services.notifier.metrics import Metrics
from services.notifier.registry import Registry, Stream
from services.notifier.ring import Entry, Ring
from services.notifier.settings import Settings
from services.notifier.tickets import Use
from services.notifier.unowned import Unowned


@dataclass(slots=True)
class Hub:
    settings: Settings
    clock: Clock
    metrics: Metrics
    ready: Gate
    registry: Registry = field(default_factory=Registry)
    owners: Owners = field(default_factory=Owners)
    unowned: Unowned = field(default_factory=Unowned)
    ticketed: dict[Stream, Use] = field(default_factory=dict)
    draining: bool = False

    def open_log(self, epoch: str, starts: list[int]) -> Log:
        return Log(epoch, self.settings.signing.cursor_keys, starts, self.settings.ring_bytes)

    def on_entry(self, entry: Entry | None) -> None:
        """The next record of the log; None for one that could not be read."""
        if entry is None:
            self.metrics.poison.inc()
            return
        account_id = entry.account_id or self.owners.get(entry.order_id)
        nameless = account_id is None and self.registry.of_kind("account") > 0
        held = nameless or self.unowned.holds(entry.order_id)
        if held:
            self.unowned.add(entry, self.clock.monotonic())
        if entry.account_id is not None:
            self.learn(entry.order_id, entry.account_id)
        if self.registry.dispatch(entry, entry.order_id, None if held else account_id):
            self.metrics.latency.observe(max(0.0, time.time() - entry.at_ms / 1000))

    def learn(self, order_id: str, account_id: str) -> None:
        """An order's owner is known; the account's streams get, one by one, what was held back for want of it."""
        self.owners.learn(order_id, account_id)
        while (entry := self.unowned.pop(order_id)) is not None:
            self.registry.adopt(entry, account_id)

    def records_of(self, account_id: str, rings: Sequence[Ring], plan: AccountPlan) -> Iterator[Entry]:
        """The account's records that follow a plan's joins; those whose owner is not known are held back."""
        for ring, join in zip(rings, plan.joins, strict=True):
            if plan.resume == "snapshot":
                # Orders whose status was applied before their record came have no row yet.
                missing = (order for order in ring.orders_of(account_id) if order not in plan.states)
                yield from (entry for order in missing for entry in ring.of(order, ring.base) if entry.offset < join)
            for entry in ring.since(join):
                owner = entry.account_id or self.owners.get(entry.order_id) or ring.owner(entry.order_id)
                if owner == account_id:
                    yield entry
                elif owner is None:
                    self.unowned.add(entry, self.clock.monotonic())

    def on_replaced(self) -> None:
        """The log is no longer the one that the streams stand in: all resume by their cursors."""
        self.owners.clear()
        self.unowned.clear()
        for stream in self.registry:
            self.send_away(stream, "log", self.retry_ms())

    def send_away(self, stream: Stream, reason: str, retry_ms: int) -> None:
        """Close a stream whose client is to come again, here or elsewhere."""
        stream.tell("stream", sse.encode({"resume": "later", "reason": reason}), retry_ms)
        stream.wire.end(reason)

    def retry_ms(self, least: float = 0.25, spread: float | None = None) -> int:
        """A reconnection time of one client's own, so that clients that lose an instance come back spread out."""
        window = self.settings.reconnect_seconds if spread is None else spread
        return int((least + window * random.random()) * 1000) or 1
