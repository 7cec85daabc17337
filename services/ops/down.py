"""`umbra down`: stops the local stack, and whatever a crashed one left behind."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from pathlib import Path

from sandbox.stack import state as states

# Every process has its own time to drain, one tier after the other; Kafka and PostgreSQL come last.
_PATIENCE_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


async def run(args: argparse.Namespace) -> int:
    directory: Path = args.state_dir
    state = states.read(directory)
    stopped = state is not None and state.alive
    if state is not None and state.alive:
        await _stop(state)
    left = await _leftovers(directory) if state is not None else []
    if args.json:
        print(json.dumps({"ok": True, "stopped": stopped, "leftovers": left}))
    else:
        print(_told(directory, stopped, left))
    return 0


def _told(directory: Path, stopped: bool, left: list[str]) -> str:
    ended = f"; ended what was left of it: {', '.join(left)}" if left else ""
    return (f"stopped the stack in {directory}" if stopped else f"no stack runs in {directory}") + ended


async def _stop(state: states.StackState) -> None:
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while state.alive:
        if time.monotonic() > deadline:
            os.kill(state.pid, signal.SIGKILL)
        await asyncio.sleep(0.05)


async def _leftovers(directory: Path) -> list[str]:
    with states.locked(directory):
        return await states.end_leftovers(directory)
