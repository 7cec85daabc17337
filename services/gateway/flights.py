"""One fetch per key in a process, and who may share it.

A fetch may be shared by a caller who has seen the same nonces: whatever was told since it began would have changed
them. Without nonces nothing tells, so such callers share the fetch that begins after they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Fetch = Callable[[], Awaitable[T]]


@dataclass(slots=True)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    proof: bytes | None


class Flights(Generic[T]):
    """Tasks live on when a caller goes; `close` ends them."""

    def __init__(self) -> None:
        self._open: dict[str, _Flight[T]] = {}
        self._next: dict[str, asyncio.Task[T]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def run(self, key: str, proof: bytes | None, fetch: Fetch[T]) -> T:
        """The result of `fetch`, or of one under way that is as good."""
        if proof is None:
            return await asyncio.shield(self._begins_later(key, fetch))
        flight = self._open.get(key)
        if flight is None or flight.proof != proof:
            flight = _Flight(self._start(key, fetch), proof)
            self._open[key] = flight
            flight.task.add_done_callback(lambda _: self._landed(key, flight))
        return await asyncio.shield(flight.task)

    def shares(self, key: str, proof: bytes | None) -> bool:
        """Whether `run` would share a fetch that is under way."""
        flight = self._open.get(key)
        return flight is not None and proof is not None and flight.proof == proof

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begins_later(self, key: str, fetch: Fetch[T]) -> asyncio.Task[T]:
        waiting = self._next.get(key)
        if waiting is not None:
            return waiting
        under_way = self._open.get(key)
        if under_way is None:
            return self._take_off(key, self._start(key, fetch))
        self._next[key] = task = self._start(key, lambda: self._after(key, under_way.task, fetch))
        return task

    async def _after(self, key: str, earlier: asyncio.Task[T], fetch: Fetch[T]) -> T:
        await asyncio.wait({earlier})
        task = self._next.pop(key)
        self._take_off(key, task)
        return await fetch()

    def _take_off(self, key: str, task: asyncio.Task[T]) -> asyncio.Task[T]:
        flight = _Flight(task, None)
        self._open[key] = flight
        task.add_done_callback(lambda _: self._landed(key, flight))
        return task

    def _landed(self, key: str, flight: _Flight[T]) -> None:
        if self._open.get(key) is flight:
            del self._open[key]

    def _start(self, key: str, fetch: Fetch[T]) -> asyncio.Task[T]:
        task: asyncio.Task[T] = asyncio.ensure_future(_call(fetch))
        task.set_name(f"gateway.fetch {key}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at here, for its callers may be gone


async def _call(fetch: Fetch[T]) -> T:
    return await fetch()
