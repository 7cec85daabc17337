"""The whole local stack for tests, started and asked through the `umbra` command as a person would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.stack.settings import ROOT

_PATIENCE_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Umbra:
    """A stack that runs on free ports in a state directory of its own."""

    state_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One `umbra` command against this stack."""
        command = [sys.executable, "-m", "services.ops", *words, "--state-dir", str(self.state_dir)]
        environ = {**os.environ, **self.settings}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=_PATIENCE_SECONDS, env=environ
        )
        if check and done.returncode != 0:
            raise AssertionError(f"umbra {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    async def run_async(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(self.run, *words, check=check)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json", check=False).stdout)
        return found

    @property
    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.state_dir / "state.json").read_text())
        return found

    @property
    def address(self) -> str:
        """The front port, as a browser opens it."""
        return str(self._state["address"])

    @property
    def control(self) -> str:
        """The simulator's control endpoint."""
        return str(self._state["control"])

    @property
    def identity(self) -> str:
        return str(self._state["identity"])

    @property
    def environment(self) -> dict[str, str]:
        """UMBRA_ settings by which a test reaches the stack as its owner."""
        return dict(self._state["environment"])

    def process(self, name: str) -> dict[str, Any]:
        """State, pid, port, address, log and health URL of one process."""
        return next(entry for entry in self._state["processes"] if entry["name"] == name)

    def kill(self, name: str) -> int:
        """kill -9; the supervisor brings it back. Returns the pid that was killed."""
        pid = int(self.process(name)["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_back(self, name: str, killed: int) -> bool:
        """Whether another process has taken the place of the killed one and is ready."""
        entry = self.process(name)
        return bool(entry["state"] == "ready" and entry["pid"] != killed)


@contextlib.contextmanager
def running(state_dir: Path, *flags: str, settings: Mapping[str, str] | None = None) -> Iterator[Umbra]:
    """A ready stack, stopped at the end. `settings` are environment variables over this process's own."""
    umbra = Umbra(state_dir, settings or {})
    try:
        umbra.run("up", "--detach", "--free-ports", *flags)
        yield umbra
    finally:
        umbra.run("down")
