"""What runs now, in one file under the state directory; and the lock that lets one stack run there.

Only a process whose pid and birth both match is ever signalled from what the file says.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sandbox.stack.child import birth

# Survive `--fresh`: they hold nothing of a run.
_KEPT = {"cache", "lock", "logs"}


class AlreadyRunning(Exception):
    """Another stack runs in this state directory."""


class NotRunning(Exception):
    """No stack runs in this state directory."""


@dataclass(slots=True, kw_only=True)
class ProcessState:
    name: str
    state: str
    address: str = ""
    port: int = 0
    pid: int | None = None
    birth: str | None = None
    log: str = ""
    health: str = ""
    restarts: int = 0
    job: bool = False


@dataclass(slots=True, kw_only=True)
class StackState:
    """`environment` is what a command needs to reach the stack as its owner."""

    phase: str
    pid: int
    birth: str | None
    address: str = ""
    control: str = ""
    identity: str = ""
    failure: str = ""
    started_in: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: list[ProcessState] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        return is_alive(self.pid, self.birth)


def is_alive(pid: int | None, born: str | None) -> bool:
    return pid is not None and born is not None and birth(pid) == born


def write(directory: Path, state: StackState) -> None:
    """Replace the file in one step; a reader sees the old one or the new one."""
    draft = directory / "state.json.new"
    with open(draft, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        json.dump(asdict(state), file, indent=2)
    draft.replace(directory / "state.json")


def read(directory: Path) -> StackState | None:
    """The last state written, of a stack that may be gone."""
    try:
        found: dict[str, Any] = json.loads((directory / "state.json").read_text())
    except FileNotFoundError:
        return None
    processes = [ProcessState(**process) for process in found.pop("processes")]
    return StackState(**found, processes=processes)


def read_running(directory: Path) -> StackState:
    state = read(directory)
    if state is None or not state.alive:
        raise NotRunning(f"no stack runs in {directory}; start one with `umbra up`")
    return state


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory for one stack. The kernel lets go of it when the process ends, however it ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(_already(directory)) from error
        yield


def _already(directory: Path) -> str:
    state = read(directory)
    where = f" at {state.address} (pid {state.pid})" if state else ""
    return f"a stack runs in {directory} already{where}; stop it with `umbra down`"


def clear(directory: Path) -> None:
    """Forget all data of earlier runs. The caller holds the lock."""
    for entry in directory.iterdir():
        if entry.name in _KEPT:
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def put_logs_aside(directory: Path) -> None:
    """Begin new logs and keep those of the run before this one."""
    for log in (directory / "logs").glob("*.log"):
        if log.name != "up.log":
            log.replace(log.with_suffix(".log.1"))


async def end_leftovers(directory: Path, within: float = 10.0) -> list[str]:
    """End processes that a killed supervisor left behind; their names. The caller holds the lock."""
    state = read(directory)
    left = [process for process in state.processes if is_alive(process.pid, process.birth)] if state else []
    for process in left:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + within
    while any(is_alive(process.pid, process.birth) for process in left):
        if time.monotonic() > deadline:
            for process in left:
                _signal(process, signal.SIGKILL)
        await asyncio.sleep(0.05)
    return [process.name for process in left]


def _signal(process: ProcessState, number: signal.Signals) -> None:
    if process.pid is not None and is_alive(process.pid, process.birth):
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
