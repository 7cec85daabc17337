"""What every stream of this instance shares, and what happens when the log says something."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from services.kernel.clock import Clock
from services.kernel.health import Gate
from services.notifier import sse
from services.notifier.access import Owners
from services.notifier.log import Log
from services.notifier.metrics import Metrics
from services.notifier.registry import Registry, Stream
from services.notifier.ring import Entry
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
        return Log(epoch, self.settings.cursor_keys, starts, self.settings.ring_bytes)

    def on_entry(self, entry: Entry | None) -> None:
        """The next record of the log; None for one that could not be read."""
        if entry is None:
            self.metrics.poison.inc()
            return
        if entry.account_id is not None:
            self.learn(entry.order_id, entry.account_id)
        account_id = self.owners.get(entry.order_id)
        if account_id is None and self.registry.of_kind("account"):
            self.unowned.add(entry, self.clock.monotonic())
        if self.registry.dispatch(entry, entry.order_id, account_id):
            self.metrics.latency.observe(max(0.0, time.time() - entry.at_ms / 1000))

    def learn(self, order_id: str, account_id: str) -> None:
        """An order's owner is known; the account's streams get what was held back for want of him."""
        self.owners.learn(order_id, account_id)
        for entry in self.unowned.take(order_id) if len(self.unowned) else ():
            self.registry.adopt(entry, account_id)

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
