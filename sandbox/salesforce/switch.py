"""Whether Salesforce is there at all."""

import asyncio


class Switch:
    """On until turned off; whoever waits is woken by a change."""

    def __init__(self) -> None:
        self.on = True
        self._waiters: set[asyncio.Event] = set()

    def set(self, *, on: bool) -> None:
        self.on = on
        for waiter in self._waiters:
            waiter.set()

    def watch(self, waiter: asyncio.Event) -> None:
        self._waiters.add(waiter)

    def unwatch(self, waiter: asyncio.Event) -> None:
        self._waiters.discard(waiter)
