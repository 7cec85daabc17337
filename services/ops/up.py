"""`umbra up`: the whole stack on this machine, shown as it comes up, running until Ctrl-C or `umbra down`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.stack import cache, local, settings, training
from sandbox.stack.child import NotReady
from sandbox.stack.jars import JarsMissing
from sandbox.stack.ports import PortTaken
from sandbox.stack.settings import StackSettings, UnknownPort
from sandbox.stack.state import AlreadyRunning
from services.ops import detached, progress
from services.ops.errors import CommandFailed

REFUSALS = (AlreadyRunning, JarsMissing, NotReady, PortTaken)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--detach", action="store_true", help="leave it running and return when it is ready")
    parser.add_argument("--fresh", action="store_true", help="start empty: forget all data of earlier runs")
    parser.add_argument("--free-ports", action="store_true", help="take any free ports instead of the usual ones")
    parser.add_argument(
        "--port",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help=f"another port for one part (also: UMBRA_UP_PORTS, by comma); parts: {', '.join(settings.DEFAULT_PORTS)}",
    )
    parser.add_argument("--products", type=int, help="size of the catalog at the first start")


async def run(args: argparse.Namespace) -> int:
    chosen = stack_settings(args)
    if args.detach:
        return await detached.start(args.state_dir, own_flags(args))
    _cancel_on_signal()
    # The first start says what it fetches, which takes a while.
    logging.getLogger("sandbox.stack").setLevel(logging.INFO)
    lines = progress.Lines(sys.stdout)
    try:
        async with local.running(chosen, os.environ, lines.show, fresh=args.fresh) as stack:
            lines.summary(stack.state, args.state_dir)
            async with training.beside(chosen):
                await stack.supervisor.watch()
    except asyncio.CancelledError:
        return 0
    except REFUSALS as error:
        raise CommandFailed(str(error)) from error
    return 1


def _cancel_on_signal() -> None:
    """A first signal stops the stack in order; one more leaves at once, and the processes end with this one."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("no task to stop")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def stack_settings(args: argparse.Namespace) -> StackSettings:
    state: Path = args.state_dir.absolute()
    words = [*filter(None, os.environ.get("UMBRA_UP_PORTS", "").split(",")), *args.port]
    try:
        ports = settings.chosen_ports(parse_ports(words), free=args.free_ports)
    except UnknownPort as error:
        raise CommandFailed(str(error), exit_code=2) from error
    return StackSettings(
        state=state,
        cache=cache.directory(os.environ, state / "cache"),
        ports=ports,
        products=args.products,
    )


def parse_ports(words: list[str]) -> Mapping[str, int]:
    """NAME=NUMBER pairs. Raises CommandFailed on anything else."""
    chosen = {}
    for word in words:
        name, _, number = word.strip().partition("=")
        if not number.isdigit() or not 0 < int(number) < 65_536:
            raise CommandFailed(f"{word!r} is no NAME=NUMBER with a port number", exit_code=2)
        chosen[name] = int(number)
    return chosen


def own_flags(args: argparse.Namespace) -> list[str]:
    flags = [f"--port={word}" for word in args.port]
    flags += ["--fresh"] if args.fresh else []
    flags += ["--free-ports"] if args.free_ports else []
    return flags + ([f"--products={args.products}"] if args.products is not None else [])
