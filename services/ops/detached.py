"""Starts `umbra up` in a process of its own and follows it until it is ready."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.stack import state as states
from sandbox.stack.child import last_lines
from sandbox.stack.state import StackState
from sandbox.stack.supervisor import Change
from services.ops import progress
from services.ops.errors import CommandFailed

_POLL_SECONDS = 0.1


async def start(directory: Path, flags: Sequence[str]) -> int:
    """Returns 0 when the stack is ready. Raises CommandFailed, with the reason, when it did not come up."""
    log = directory / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", "services.ops", "up", "--state-dir", str(directory), *flags)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        state = await _follow(directory, process)
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if state is None:
        raise CommandFailed(f"the stack did not come up:\n{last_lines(log.read_bytes(), 30)}")
    progress.Lines(sys.stdout).summary(state, directory)
    return 0


async def _follow(directory: Path, process: asyncio.subprocess.Process) -> StackState | None:
    """The state once it is ready, or None when the process has ended."""
    lines, shown = progress.Lines(sys.stdout), set[tuple[str, str]]()
    while process.returncode is None:
        state = states.read(directory)
        if state is not None and state.pid == process.pid:
            for entry in state.processes:
                if (entry.name, entry.state) not in shown:
                    shown.add((entry.name, entry.state))
                    lines.show(Change(entry))
            if state.phase == "ready":
                return state
        await asyncio.sleep(_POLL_SECONDS)
    return None
