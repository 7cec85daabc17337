"""`umbra smoke`: a stack of its own on free ports, a few changes in the org, each awaited in row, answer and stream.

Prints exactly one line of JSON on standard output: `ok`, and medians in milliseconds from just before a change
was asked for until it was seen; `start_s` is the whole start. What went wrong goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from sandbox.stack import cache, local, settings
from sandbox.stack.child import last_lines
from sandbox.stack.settings import StackSettings
from services.ops import progress, sightings
from services.ops.up import REFUSALS

CHANGES = 7
"""How many changes of each kind the medians are taken over."""

_ON_THE_WAY = ("salesforce", "ingestor", "projector", "gateway-1", "gateway-2", "notifier-1", "notifier-2", "front")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--products", type=int, help="size of the simulated catalog")
    parser.add_argument("--verbose", action="store_true", help="show the start on standard error")


async def run(args: argparse.Namespace) -> int:
    # Short: a name in /tmp, so that the whole path of a socket under it fits.
    with tempfile.TemporaryDirectory(prefix="umbra-smoke-") as scratch:
        result = await _attempt(args, Path(scratch))
    print(json.dumps(result))
    return 0 if result["ok"] else 1


async def _attempt(args: argparse.Namespace, state: Path) -> dict[str, Any]:
    chosen = StackSettings(
        state=state,
        cache=cache.directory(os.environ, Path.cwd() / ".umbra" / "cache"),
        ports=settings.chosen_ports({}, free=True),
        products=args.products,
    )
    lines = progress.Lines(sys.stderr)
    try:
        async with local.running(chosen, os.environ, lines.show if args.verbose else lines.show_deaths) as stack:
            try:
                medians = await _measure(stack)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, the caller gets one line of JSON
                _show_logs(state)
                sys.stderr.write(f"{traceback.format_exc()}\n")
                return {"ok": False, "error": f"{type(error).__name__}: {error}"}
            return {"ok": True, **medians, "start_s": stack.state.started_in}
    except REFUSALS as error:
        sys.stderr.write(f"{error}\n")
        return {"ok": False, "error": str(error).partition("; its log ends")[0]}


async def _measure(stack: local.LocalStack) -> dict[str, int]:
    state = stack.state
    connection = await asyncpg.connect(state.environment["UMBRA_POSTGRES_DSN"])
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            places = sightings.Places(state.address, state.control, state.identity, session, connection)
            prices = await sightings.watch_prices(places, CHANGES)
            statuses = await sightings.watch_statuses(places, CHANGES)
    finally:
        await connection.close()
    return {
        "row_ms": _median([seen.row for seen in prices]),
        "gateway_ms": _median([seen.gateway for seen in prices]),
        "sse_ms": _median(statuses),
    }


def _median(seconds: list[float]) -> int:
    return round(statistics.median(seconds) * 1000)


def _show_logs(state: Path) -> None:
    for name in _ON_THE_WAY:
        log = state / "logs" / f"{name}.log"
        if log.exists():
            sys.stderr.write(f"--- the end of {name}'s log\n{last_lines(log.read_bytes(), 8)}\n")
