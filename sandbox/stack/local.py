"""The local stack from start to stop: the lock, the state file, the supervisor, the way down."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from sandbox.stack import settings as chosen
from sandbox.stack import state as states
from sandbox.stack import wheels
from sandbox.stack.child import birth
from sandbox.stack.layout import Layout
from sandbox.stack.settings import StackSettings
from sandbox.stack.supervisor import Change, Supervisor, Unit

Report = Callable[[Change], None]


class LocalStack:
    """One running stack; its state file follows every change."""

    def __init__(self, settings: StackSettings, layout: Layout, units: list[Unit], report: Report) -> None:
        self._settings = settings
        self._layout = layout
        self._report = report
        self.supervisor = Supervisor(units, self._changed)
        self.state = states.StackState(
            phase="starting",
            pid=os.getpid(),
            birth=birth(os.getpid()),
            address=layout.address,
            control=layout.control,
            identity=layout.identity,
            processes=list(self.supervisor.processes.values()),
        )

    def _changed(self, change: Change) -> None:
        self._write()
        self._report(change)

    def _write(self) -> None:
        self.state.environment = self._layout.owner_environment()
        states.write(self._settings.state, self.state)

    async def start(self) -> None:
        began = time.monotonic()
        self._write()
        await self.supervisor.start()
        self.state.started_in = round(time.monotonic() - began, 2)
        self._enter("ready")

    async def stop(self) -> None:
        self._enter("stopping")
        await self.supervisor.stop()
        self._enter("stopped")

    def fail(self, why: str) -> None:
        """Leave in the state file why this stack did not come up."""
        self.state.failure = why
        self._write()

    def _enter(self, phase: str) -> None:
        self.state.phase = phase
        self._write()


@asynccontextmanager
async def running(
    settings: StackSettings, environ: Mapping[str, str], report: Report, *, fresh: bool = False
) -> AsyncIterator[LocalStack]:
    """A stack, all of it ready; stopped at the end. Raises AlreadyRunning, PortTaken, NotReady, JarsMissing."""
    wheels.check()
    with states.locked(settings.state):
        await states.end_leftovers(settings.state)
        if fresh:
            states.clear(settings.state)
        chosen.check_free(settings.ports)
        states.put_logs_aside(settings.state)
        layout = Layout(settings, environ)
        stack = LocalStack(settings, layout, layout.units(), report)
        try:
            await stack.start()
            yield stack
        except Exception as error:
            stack.fail(str(error))
            raise
        finally:
            await asyncio.shield(stack.stop())
