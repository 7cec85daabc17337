"""The supervisor brings back what dies, names why, starts and stops in order, and leaves nothing running."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from sandbox.stack.child import NotReady, birth
from sandbox.stack.program import Program
from sandbox.stack.settings import ROOT
from sandbox.stack.supervisor import Change, Supervisor, Unit, stop_order
from tests.integration.stack.programs import MOURNED, STUBBORN, program
from tests.support.eventually import eventually


def _unit(made: Program, *needs: str, job: bool = False) -> Unit:
    async def build() -> Program:
        return made

    return Unit(name=made.name, build=build, needs=needs, job=job)


@contextlib.asynccontextmanager
async def _started(units: Sequence[Unit], changes: list[Change]) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(units, changes.append)
    try:
        await supervisor.start()
        yield supervisor
    finally:
        await supervisor.stop()


async def test_killed_process_is_back_on_its_port_and_named_with_its_last_lines(tmp_path: Path) -> None:
    changes: list[Change] = []
    async with _started([_unit(program(tmp_path, "kept"))], changes) as supervisor:
        process = supervisor.processes["kept"]
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)

        await eventually(lambda: process.restarts == 1 and process.state == "ready", within=10)

        assert process.pid != first
        told = next(change.detail for change in changes if change.detail)
        assert "kept ended with signal SIGKILL" in told
        assert "listening" in told


async def test_program_that_cannot_start_fails_the_start_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"doomed ended with exit code 1(.|\n)*no such planet: Vulcan"):
        async with _started([_unit(program(tmp_path, "doomed", MOURNED))], []):
            pass


async def test_refused_settings_are_not_tried_again(tmp_path: Path) -> None:
    source = "import sys; print('try', flush=True); sys.exit(2)"

    with pytest.raises(NotReady, match="exit code 2"):
        async with _started([_unit(program(tmp_path, "picky", source))], []):
            pass

    assert (tmp_path / "logs" / "picky.log").read_text() == "try\n"


async def test_silent_program_is_ended_and_named(tmp_path: Path) -> None:
    silent = program(tmp_path, "silent", "import time; time.sleep(60)", start_within=0.2)

    with pytest.raises(NotReady, match="silent was not ready within"):
        async with _started([_unit(silent)], []) as supervisor:
            pytest.fail(f"started {supervisor.processes}")


async def test_unit_starts_after_what_it_needs_and_stops_before_it(tmp_path: Path) -> None:
    changes: list[Change] = []
    first, second = program(tmp_path, "first"), program(tmp_path, "second")

    async with _started([_unit(second, "first"), _unit(first)], changes):
        pass

    told = [(change.process.name, change.detail) for change in changes]
    assert [name for name, _ in told] == ["first", "first", "second", "second", "second", "first"]


async def test_job_that_fails_fails_the_start(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="Vulcan"):
        async with _started([_unit(program(tmp_path, "job", MOURNED), job=True)], []):
            pass


async def test_stubborn_process_is_killed_when_its_time_is_over(tmp_path: Path) -> None:
    stubborn = program(tmp_path, "stubborn", STUBBORN, drain_within=0.3)
    async with _started([_unit(stubborn)], []) as supervisor:
        pid = supervisor.processes["stubborn"].pid
        assert pid is not None

    assert birth(pid) is None


def test_waves_stop_dependents_first() -> None:
    async def nothing() -> None:
        return None

    units = [
        Unit(name="store", build=nothing),
        Unit(name="service", build=nothing, needs=("store",)),
        Unit(name="other", build=nothing, needs=("store",)),
        Unit(name="front", build=nothing, needs=("service", "other")),
    ]

    assert stop_order(units) == [["front"], ["service", "other"], ["store"]]


SUPERVISED = """
import asyncio, sys
from pathlib import Path
from sandbox.stack.child import spawn
from tests.integration.stack.programs import STUBBORN, program

async def main():
    child = await spawn(program(Path(sys.argv[1]), "orphan", STUBBORN))
    await child.until_ready()
    print(child.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
async def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISED, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    orphan = int(await supervisor.stdout.readline())
    assert birth(orphan) is not None

    supervisor.kill()
    await supervisor.wait()

    await eventually(lambda: birth(orphan) is None, within=5)
