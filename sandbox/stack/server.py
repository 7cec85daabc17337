"""A program held in hand: start, stop, kill and start again on the same address."""

from __future__ import annotations

from sandbox.stack.child import Child, spawn
from sandbox.stack.program import Program


class Server:
    """One program and the process that runs it now."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self.program.name} was not started")
        return self._child

    @property
    def pid(self) -> int:
        return self.child.pid

    async def start(self) -> None:
        """Start it and wait until it is ready. Raises NotReady, with nothing left running."""
        self._child = await spawn(self.program)
        try:
            await self._child.until_ready()
        except BaseException:
            await self._child.kill()
            raise

    async def stop(self, within: float | None = None) -> None:
        """End it by its own signal; after `within` seconds (else the program's own time) kill it."""
        await self.child.stop(within)

    async def kill(self) -> None:
        """SIGKILL: no goodbye, as in a crash."""
        await self.child.kill()

    async def restart(self) -> None:
        """Start it again on the same port and data, ending it first where it still runs."""
        await self.stop()
        await self.start()
