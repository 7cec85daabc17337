"""The life of a process: settings, logs, run, drain, exit code. Every service starts through `main`.

Exit codes: 0 asked to stop, 1 failed, 2 bad settings; a Fatal error brings its own.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from services.kernel import logs
from services.kernel.errors import Fatal
from services.kernel.settings import ProcessSettings, SettingsError, load

log = logging.getLogger(__name__)


class HasProcess(Protocol):
    @property
    def process(self) -> ProcessSettings: ...


S = TypeVar("S", bound=HasProcess)
Run = Callable[[S, asyncio.Event], Awaitable[None]]

FAILED = 1
BAD_SETTINGS = 2


def main(
    name: str,
    cls: type[S],
    run: Run[S],
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run a service until it is told to stop; returns the exit code.

    `--check` loads the settings, says what they are, and runs nothing.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}")
    parser.add_argument("--check", action="store_true", help="check the settings and exit")
    args = parser.parse_args(argv)
    try:
        settings = load(cls, os.environ if environ is None else environ)
    except SettingsError as error:
        sys.stderr.write(f"{name}: bad settings\n" + "".join(f"  {line}\n" for line in str(error).splitlines()))
        return BAD_SETTINGS
    if args.check:
        sys.stderr.write(f"{name}: settings are good\n")
        return 0
    logs.configure(settings.process.log_format, settings.process.log_level)
    return asyncio.run(_supervise(name, settings, run))


async def _supervise(name: str, settings: S, run: Run[S]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    log.info("service starts", extra={"action": "start", "service": name, "instance": settings.process.instance})
    try:
        await _until_stopped(run, settings, stop)
    except TimeoutError:
        log.exception("service did not drain in time", extra={"action": "drain_timeout", "service": name})
        return FAILED
    except Exception as error:  # noqa: BLE001 - the one supervising place: log, and end with a code
        return _exit_code(name, error)
    log.info("service stopped", extra={"action": "stop", "service": name})
    return 0


async def _until_stopped(run: Run[S], settings: S, stop: asyncio.Event) -> None:
    """Run until the service ends; after `stop` it has `grace_seconds`, then it is cancelled."""
    service = asyncio.ensure_future(run(settings, stop))
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({service, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not service.done():
        async with asyncio.timeout(settings.process.grace_seconds):
            await service
    await service


def _exit_code(name: str, error: Exception) -> int:
    """Log why the service ended; a Fatal anywhere in a group of errors decides the code."""
    fatal = next((leaf for leaf in _leaves(error) if isinstance(leaf, Fatal)), None)
    if fatal is not None:
        log.error("service refuses to go on", extra={"action": "fatal", "service": name, "why": str(fatal)})
        return fatal.exit_code
    log.error("service failed", extra={"action": "failed", "service": name}, exc_info=error)
    return FAILED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)
