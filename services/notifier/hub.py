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
from services.notifier.registry import Registry
from services.notifier.ring import Entry
from services.notifier.settings import Settings


@dataclass(slots=True)
class Hub:
    settings: Settings
    clock: Clock
    metrics: Metrics
    ready: Gate
    registry: Registry = field(default_factory=Registry)
    owners: Owners = field(default_factory=Owners)
    draining: bool = False

    def open_log(self, epoch: str, starts: list[int]) -> Log:
        return Log(epoch, self.settings.cursor_keys, starts, self.settings.ring_bytes)

    def on_entry(self, entry: Entry | None) -> None:
        if entry is None:
            self.metrics.poison.inc()
            return
        if entry.account_id is not None:
            self.owners.learn(entry.order_id, entry.account_id)
        if self.registry.dispatch(entry, self.owners.get(entry.order_id)):
            self.metrics.latency.observe(max(0.0, time.time() - entry.at_ms / 1000))

    def on_replaced(self) -> None:
        """The log is no longer the one that the streams stand in: all resume by their cursors."""
        self.owners.clear()
        for stream in self.registry:
            stream.tell("stream", sse.encode({"resume": "later", "reason": "log"}), self.retry_ms())
            stream.wire.end("log")

    def retry_ms(self, least: float = 0.25, spread: float | None = None) -> int:
        """A reconnection time of one client's own, so that clients that lose an instance come back spread out."""
        window = self.settings.reconnect_seconds if spread is None else spread
        return int((least + window * random.random()) * 1000) or 1
