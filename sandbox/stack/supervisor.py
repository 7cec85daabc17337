"""Keeps a set of units running: starts each when what it needs is ready, brings back what dies, stops in reverse.

It stands in for the platform's own supervisor: a process that was killed is back within a second or two.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sandbox.stack.child import Child, NotReady, birth, spawn
from sandbox.stack.program import Program
from sandbox.stack.state import ProcessState

_ATTEMPTS_AT_START = 3
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0
# A process that lived this long was well; its next death starts the waits anew.
_WELL_AFTER_SECONDS = 10.0
# A service refuses settings with this code: another try would meet the same ones.
_BAD_SETTINGS = 2


async def _nothing(child: Child) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One thing to run.

    build: makes its Program once all that it `needs` is ready; None where there is nothing to run
    then: what else belongs to being ready; runs before those that need this unit
    job: runs to its end once instead of staying
    """

    name: str
    build: Callable[[], Awaitable[Program | None]]
    needs: tuple[str, ...] = ()
    then: Callable[[Child], Awaitable[None]] = _nothing
    job: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A process changed its state; `detail` is for a person."""

    process: ProcessState
    detail: str = ""
    seconds: float = 0.0


class Supervisor:
    def __init__(self, units: Sequence[Unit], report: Callable[[Change], None]) -> None:
        self._units = {unit.name: unit for unit in units}
        self._report = report
        self._ready = {unit.name: asyncio.Event() for unit in units}
        self._children: dict[str, Child] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None]
        self.processes = {unit.name: ProcessState(name=unit.name, state="waiting", job=unit.job) for unit in units}

    async def start(self) -> None:
        """Start every unit; returns when all are ready. Raises NotReady when one cannot be started."""
        self._failed = asyncio.get_running_loop().create_future()
        for unit in self._units.values():
            keeper = asyncio.create_task(self._keep(unit), name=f"keep {unit.name}")
            keeper.add_done_callback(self._note_failure)
            self._keepers.append(keeper)
        everything = asyncio.create_task(self._all_ready(), name="all ready")
        try:
            await asyncio.wait({everything, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            everything.cancel()
        if self._failed.done():
            self._failed.result()

    async def watch(self) -> None:
        """Runs until the supervision itself fails, which it should not."""
        await self._failed

    async def stop(self) -> None:
        """Stop what runs, dependents before what they depend on. Returns when nothing of it runs."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for wave in stop_order(list(self._units.values())):
            running = [name for name in wave if self._runs(name)]
            await asyncio.gather(*(self._stop_one(name) for name in running))

    async def kill(self) -> None:
        """End everything at once, without goodbyes."""
        await asyncio.gather(*(child.kill() for child in self._children.values()))

    async def _all_ready(self) -> None:
        await asyncio.gather(*(event.wait() for event in self._ready.values()))

    def _note_failure(self, keeper: asyncio.Task[None]) -> None:
        if not keeper.cancelled() and (error := keeper.exception()) and not self._failed.done():
            self._failed.set_exception(error)

    async def _keep(self, unit: Unit) -> None:
        await asyncio.gather(*(self._ready[name].wait() for name in unit.needs))
        began = time.monotonic()
        program = await unit.build()
        if program is None:
            self._change(unit, "skipped")
            self._ready[unit.name].set()
        elif unit.job:
            await self._run_job(unit, program, began)
        else:
            await self._serve(unit, program, began)

    async def _run_job(self, unit: Unit, program: Program, began: float) -> None:
        child = await self._spawn(unit, program)
        if await child.process.wait() != 0:
            raise NotReady(child.obituary())
        await unit.then(child)
        self._change(unit, "done", seconds=time.monotonic() - began)
        self._ready[unit.name].set()

    async def _serve(self, unit: Unit, program: Program, began: float) -> None:
        deaths = 0
        while True:
            child = await self._spawn(unit, program)
            born = time.monotonic()
            await self._until_ready(unit, child, deaths, began)
            await child.process.wait()
            deaths = 1 if time.monotonic() - born > _WELL_AFTER_SECONDS else deaths + 1
            self.processes[unit.name].restarts += 1
            self._change(unit, "died", detail=child.obituary())
            await asyncio.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (deaths - 1)))
            began = time.monotonic()

    async def _until_ready(self, unit: Unit, child: Child, deaths: int, began: float) -> None:
        try:
            await child.until_ready()
        except NotReady:
            if child.exit_code is None:
                await child.kill()
            first = not self._ready[unit.name].is_set()
            if first and (child.exit_code == _BAD_SETTINGS or deaths + 1 >= _ATTEMPTS_AT_START):
                raise
            return
        await unit.then(child)
        self._change(unit, "ready", seconds=time.monotonic() - began)
        self._ready[unit.name].set()

    async def _spawn(self, unit: Unit, program: Program) -> Child:
        child = await spawn(program)
        self._children[unit.name] = child
        process = self.processes[unit.name]
        process.address, process.port, process.log = program.address, program.port, str(program.log)
        process.health = program.health
        process.pid, process.birth = child.pid, birth(child.pid)
        self._change(unit, "starting")
        return child

    def _runs(self, name: str) -> bool:
        return name in self._children and self._children[name].exit_code is None

    async def _stop_one(self, name: str) -> None:
        await self._children[name].stop()
        self._change(self._units[name], "stopped")

    def _change(self, unit: Unit, state: str, *, detail: str = "", seconds: float = 0.0) -> None:
        self.processes[unit.name].state = state
        self._report(Change(self.processes[unit.name], detail, seconds))


def stop_order(units: Sequence[Unit]) -> list[list[str]]:
    """Names in waves: each wave holds those that nothing still running needs."""
    left = {unit.name: unit for unit in units}
    waves = []
    while left:
        needed = {name for unit in left.values() for name in unit.needs}
        wave = [name for name in left if name not in needed]
        waves.append(wave)
        for name in wave:
            del left[name]
    return waves
