"""The armed faults: who asks for one takes it, and a counted one is used up."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Generic, TypeVar, cast

from sandbox.salesforce.faults.fault import Fault

T = TypeVar("T", bound=Fault)
_KEPT = 1000  # used-up faults still shown; the oldest goes first


@dataclass(slots=True)
class Armed(Generic[T]):
    """A fault on the board, and what it has done so far."""

    id: str
    fault: T
    random: Random
    met: int = 0  # subjects it concerned
    hits: int = 0  # times it happened

    @property
    def left(self) -> int | None:
        return None if self.fault.count is None else self.fault.count - self.hits

    def strikes(self) -> bool:
        """Whether it happens to the one it has just met."""
        self.met += 1
        if self.left == 0 or self.met <= self.fault.skip:
            return False
        if self.fault.probability < 1 and self.random.random() >= self.fault.probability:
            return False
        self.hits += 1
        return True


@dataclass(slots=True)
class Board:
    """All armed faults, oldest first; the first one that strikes is the one."""

    _armed: dict[str, Armed[Fault]] = field(default_factory=dict)
    _made: int = 0
    changes: int = 0
    _waiters: set[asyncio.Event] = field(default_factory=set)

    def arm(self, fault: Fault) -> Armed[Fault]:
        self._made += 1
        armed = Armed(f"f{self._made}", fault, Random(fault.seed))
        self._armed[armed.id] = armed
        spent = [entry.id for entry in self._armed.values() if entry.left == 0]
        for old in spent[: max(0, len(spent) - _KEPT)]:
            del self._armed[old]
        self._wake()
        return armed

    def disarm(self, armed_id: str) -> Armed[Fault] | None:
        """The fault taken off; None when there is none of this id."""
        armed = self._armed.pop(armed_id, None)
        self._wake()
        return armed

    def clear(self) -> list[Armed[Fault]]:
        taken = list(self._armed.values())
        self._armed.clear()
        self._wake()
        return taken

    def all(self) -> list[Armed[Fault]]:
        return list(self._armed.values())

    def strike(self, kind: type[T], *subjects: str, where: Callable[[T], bool] | None = None) -> Armed[T] | None:
        """The armed fault of this kind that happens now to the one of these names."""
        for armed in self._armed.values():
            fault = armed.fault
            if (
                isinstance(fault, kind)
                and fault.concerns(subjects)
                and (where is None or where(fault))
                and armed.strikes()
            ):
                return cast(Armed[T], armed)
        return None

    def take(self, kind: type[T], *subjects: str, where: Callable[[T], bool] | None = None) -> T | None:
        armed = self.strike(kind, *subjects, where=where)
        return None if armed is None else armed.fault

    def pending(self, subject: str) -> list[Fault]:
        """The faults that may still happen to one."""
        return [a.fault for a in self._armed.values() if a.left != 0 and a.fault.concerns((subject,))]

    def holds(self, armed: Armed[T]) -> bool:
        """Whether it has not been taken off."""
        return self._armed.get(armed.id) is armed

    async def until_off(self, armed: Armed[T]) -> None:
        """Returns once the fault has been taken off."""
        changed = asyncio.Event()
        self.watch(changed)
        try:
            while self.holds(armed):
                await changed.wait()
                changed.clear()
        finally:
            self.unwatch(changed)

    def watch(self, waiter: asyncio.Event) -> None:
        self._waiters.add(waiter)

    def unwatch(self, waiter: asyncio.Event) -> None:
        self._waiters.discard(waiter)

    def _wake(self) -> None:
        self.changes += 1
        for waiter in self._waiters:
            waiter.set()
