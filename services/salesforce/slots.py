"""Places for calls: a bounded number runs, a bounded number waits, the most urgent goes first."""

from __future__ import annotations

import asyncio
import bisect
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from services.salesforce.calls import CallClass
from services.salesforce.errors import DeadlinePassed, QueueFull, Unavailable


@dataclass(order=True, slots=True)
class _Waiter:
    call_class: CallClass
    number: int
    place: asyncio.Future[None] = field(compare=False)


class Slots:
    """Places of one process.

    size: calls at once; waiting: calls that may wait
    A quarter of the places is kept free of the classes below `WRITE`: a backfill's long calls never take them all.
    When the waiting list is full, the least urgent of those waiting and the newcomer is refused, the latest first.
    """

    def __init__(self, size: int, waiting: int) -> None:
        self._size = size
        self._kept = size // 4
        self._most_waiting = waiting
        self._running = 0
        self._numbers = itertools.count()
        self._waiters: list[_Waiter] = []
        self._closed = False

    async def acquire(self, call_class: CallClass, deadline: float) -> None:
        """Wait for a place. Raises QueueFull, DeadlinePassed, Unavailable when closed."""
        if self._closed:
            raise Unavailable("the process is stopping")
        if self._free(call_class):
            self._running += 1
            return
        waiter = self._admitted(call_class)
        try:
            async with asyncio.timeout_at(deadline):
                await waiter.place
        except TimeoutError as error:
            self._withdraw(waiter)
            raise DeadlinePassed("no free place before the deadline") from error
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise

    def release(self) -> None:
        self._running -= 1
        self._wake()

    def close(self) -> None:
        """Refuse everybody who waits or comes."""
        self._closed = True
        self._refuse(lambda: Unavailable("the process is stopping"), self._waiters)
        self._waiters = []

    @property
    def running(self) -> int:
        return self._running

    def waiting(self, call_class: CallClass) -> int:
        return sum(1 for waiter in self._waiters if waiter.call_class is call_class)

    def _free(self, call_class: CallClass) -> bool:
        kept = self._kept if call_class > CallClass.WRITE else 0
        return self._running < self._size - kept

    def _admitted(self, call_class: CallClass) -> _Waiter:
        waiter = _Waiter(call_class, next(self._numbers), asyncio.get_running_loop().create_future())
        if len(self._waiters) >= self._most_waiting:
            if not self._waiters or waiter > self._waiters[-1]:
                raise QueueFull(f"{len(self._waiters)} calls as urgent are waiting")
            self._refuse(lambda: QueueFull("more urgent calls came"), [self._waiters.pop()])
        bisect.insort(self._waiters, waiter)
        return waiter

    def _refuse(self, error: Callable[[], Exception], waiters: list[_Waiter]) -> None:
        for waiter in waiters:
            if not waiter.place.done():
                waiter.place.set_exception(error())

    def _withdraw(self, waiter: _Waiter) -> None:
        """Leave the list; a place that was given in the same moment goes to the next."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif waiter.place.done() and not waiter.place.cancelled() and waiter.place.exception() is None:
            self.release()

    def _wake(self) -> None:
        while self._waiters and self._free(self._waiters[0].call_class):
            waiter = self._waiters.pop(0)
            if not waiter.place.done():
                self._running += 1
                waiter.place.set_result(None)
