"""A service ends with the code that says why."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass

import pytest

from services.kernel import lifecycle
from services.kernel.errors import Fatal
from services.kernel.settings import ProcessSettings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    process: ProcessSettings
    needed: str = setting(doc="Something needed.")


ENVIRONMENT = {"UMBRA_NEEDED": "x", "UMBRA_GRACE_SECONDS": "0.2"}


async def _asked_to_stop(settings: Settings, stop: asyncio.Event) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()


async def _never_drains(settings: Settings, stop: asyncio.Event) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.Event().wait()


async def _refuses(settings: Settings, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_raise(Fatal("the log was trimmed", exit_code=71)))


async def _raise(error: Exception) -> None:
    raise error


async def _breaks(settings: Settings, stop: asyncio.Event) -> None:
    await _raise(RuntimeError("broken"))


@pytest.mark.parametrize(
    ("run", "code"), [(_asked_to_stop, 0), (_never_drains, 1), (_refuses, 71), (_breaks, 1)], ids=lambda v: str(v)
)
def test_exit_code_says_how_it_ended(run: lifecycle.Run[Settings], code: int) -> None:
    assert lifecycle.main("example", Settings, run, argv=[], environ=ENVIRONMENT) == code


def test_bad_settings_end_it_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert lifecycle.main("example", Settings, _breaks, argv=[], environ={}) == lifecycle.BAD_SETTINGS
    assert "UMBRA_NEEDED" in capsys.readouterr().err


def test_check_runs_nothing() -> None:
    assert lifecycle.main("example", Settings, _breaks, argv=["--check"], environ=ENVIRONMENT) == 0
