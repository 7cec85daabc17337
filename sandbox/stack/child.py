"""One process started from a Program: its pid, its log, its end.

A process is known by pid and birth together: a pid that the system gave away again is never signalled.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.stack import leash
from sandbox.stack.program import Program

Announcement = Mapping[str, str]

_POLL_SECONDS = 0.05
_TAIL_BYTES = 16_384


class NotReady(Exception):
    """A program ended, or stayed silent past its time, before it was ready. The message ends with its log."""


@dataclass(slots=True)
class Child:
    program: Program
    process: asyncio.subprocess.Process
    log_offset: int

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        return self.process.returncode

    def log_since_start(self) -> bytes:
        with self.program.log.open("rb") as log:
            log.seek(self.log_offset)
            return log.read()

    def announcement(self) -> Announcement | None:
        """What the program said in its one line of JSON about where it is, if it has said so."""
        for line in self.log_since_start().splitlines():
            if line.startswith(b'{"ready"'):
                return {key: str(value) for key, value in json.loads(line).items()}
        return None

    async def until_ready(self) -> None:
        """Return when the program is ready. Raises NotReady when it ended or took longer than allowed."""
        deadline = time.monotonic() + self.program.start_within
        while not await self._answers():
            if self.exit_code is not None:
                raise NotReady(self.obituary())
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{self.program.name} was not ready within {self.program.start_within:.0f} s"
                    f"; its log ends:\n{self.last_words()}"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _answers(self) -> bool:
        if self.program.announces and self.announcement() is None:
            return False
        try:
            async with asyncio.timeout(2.0):
                return self.exit_code is None and await self.program.ready()
        except (OSError, TimeoutError):
            return False

    def obituary(self) -> str:
        ending = describe_exit(self.exit_code)
        return f"{self.program.name} ended with {ending}; its log ends:\n{self.last_words()}"

    def last_words(self) -> str:
        """The last lines that it wrote itself; a log goes on over restarts."""
        return last_lines(self.log_since_start())

    async def stop(self, within: float | None = None) -> None:
        """Ask it to end, wait `within` seconds (else `drain_within`), then kill it. Returns when it is gone."""
        self._signal(self.program.stop_signal)
        try:
            async with asyncio.timeout(within or self.program.drain_within):
                await self.process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        self._signal(signal.SIGKILL)
        await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.exit_code is None:
            self.process.send_signal(number)


async def spawn(program: Program) -> Child:
    """Start the program in a session of its own, its output appended to its log."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    with program.log.open("ab") as log:
        offset = log.seek(0, os.SEEK_END)
        process = await asyncio.create_subprocess_exec(
            *leash.command(program.user, *program.argv, death_signal=program.death_signal),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(program.env) or None,
            start_new_session=True,
        )
    return Child(program, process, offset)


def last_lines(text: bytes, lines: int = 15) -> str:
    """The end of a log, for a message to a person."""
    ending = text[-_TAIL_BYTES:].decode(errors="replace").splitlines()
    return "\n".join(ending[-lines:]) or "(it is empty)"


def describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def birth(pid: int) -> str | None:
    """When the process with this pid began, in the system's own words; None for none, or a zombie."""
    if sys.platform != "linux":
        ps = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(ps, capture_output=True, text=True, check=False).stdout.strip() or None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
