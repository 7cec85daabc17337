"""One stack per state directory; what a crashed one left is ended, and nobody else's process ever is."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from sandbox.stack import ports, settings
from sandbox.stack import state as states
from sandbox.stack.child import birth
from sandbox.stack.state import AlreadyRunning, ProcessState, StackState


def _state(*processes: ProcessState) -> StackState:
    return StackState(phase="ready", pid=os.getpid(), birth=birth(os.getpid()), processes=list(processes))


async def _sleeper() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")


async def test_leftover_of_a_crashed_stack_is_ended(tmp_path: Path) -> None:
    left = await _sleeper()
    states.write(tmp_path, _state(ProcessState(name="left", state="ready", pid=left.pid, birth=birth(left.pid))))

    assert await states.end_leftovers(tmp_path) == ["left"]

    assert await left.wait() == -15


async def test_process_that_got_an_old_pid_is_left_alone(tmp_path: Path) -> None:
    stranger = await _sleeper()
    states.write(tmp_path, _state(ProcessState(name="left", state="ready", pid=stranger.pid, birth="1")))

    assert await states.end_leftovers(tmp_path) == []

    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


def test_second_stack_in_one_directory_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    with states.locked(tmp_path):
        states.write(tmp_path, _state())

        with pytest.raises(AlreadyRunning, match=str(os.getpid())), states.locked(tmp_path):
            pass


def test_fresh_start_forgets_data_and_keeps_downloads(tmp_path: Path) -> None:
    for name in ("kafka", "postgres", "cache", "logs"):
        (tmp_path / name).mkdir()
    states.write(tmp_path, _state())

    states.clear(tmp_path)

    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "logs"]


def test_state_survives_a_round_trip_and_is_its_owners_alone(tmp_path: Path) -> None:
    written = _state(ProcessState(name="kafka", state="ready", port=19092))

    states.write(tmp_path, written)

    assert states.read(tmp_path) == written
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0


def test_taken_port_is_named_with_its_holder_and_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        chosen = settings.chosen_ports({"front": port}, free=True)

        with pytest.raises(ports.PortTaken) as refusal:
            settings.check_free(chosen)

    assert f"port {port} (front) is in use by pid {os.getpid()}" in str(refusal.value)
    assert f"--port front={port + 10_000}" in str(refusal.value)


def test_port_for_nothing_is_refused() -> None:
    with pytest.raises(settings.UnknownPort, match="frnot"):
        settings.chosen_ports({"frnot": 8081}, free=False)
