"""Events that are committed, numbered and in the journal, and arrive in their topics later."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from sandbox.salesforce.eventbus import EventBus, StoredEvent


class LateEvents:
    """In the order of their commits: what is due early waits for what came before it."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        self._queue: deque[tuple[int, list[StoredEvent]]] = deque()
        self.changed = asyncio.Event()
        """Something was added, for whoever waits to settle it."""

    def add(self, events: Iterable[StoredEvent], due_ms: int, now_ms: int) -> None:
        found = list(events)
        if due_ms <= now_ms and not self._queue:
            self._bus.release(found)
        elif found:
            self._queue.append((max(due_ms, self._queue[-1][0] if self._queue else 0), found))
            self.changed.set()

    def waiting(self, topic: str) -> bool:
        return any(event.topic == topic for _, events in self._queue for event in events)

    def settle(self, now_ms: int) -> int | None:
        """Release what is due; milliseconds until the next is, None where nothing waits."""
        while self._queue and self._queue[0][0] <= now_ms:
            self._bus.release(self._queue.popleft()[1])
        return self._queue[0][0] - now_ms if self._queue else None


async def settle_forever(settle: Callable[[], int | None], late: LateEvents, speed: Callable[[], float]) -> None:
    """Releases events when they are due, by the org's clock."""
    while True:
        delay = settle()
        late.changed.clear()
        try:
            async with asyncio.timeout(None if delay is None else min(delay / 1000 / speed(), 1.0)):
                await late.changed.wait()
        except TimeoutError:
            continue
