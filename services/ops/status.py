"""`umbra status`: every process of the local stack, where it is and how it is; how far each object is covered;
with --json the tokens of the seeded accounts.

Exit codes: 0 all is well, 1 something is not, 3 no stack runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from sandbox.stack import http, state
from sandbox.stack.state import NotRunning, ProcessState, StackState
from services.ops import covered
from services.ops.errors import NOT_RUNNING

_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Line:
    process: ProcessState
    well: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


async def run(args: argparse.Namespace) -> int:
    try:
        found = state.read_running(args.state_dir)
    except NotRunning as error:
        print(json.dumps({"running": False}) if args.json else str(error))
        return NOT_RUNNING
    lines = await asyncio.gather(*(_look(process) for process in found.processes))
    well = found.phase == "ready" and all(line.well for line in lines)
    coverage = await covered.look(found.environment.get("UMBRA_POSTGRES_DSN", ""))
    if args.json:
        accounts = await _accounts(found.identity)
        objects = None if coverage is None else [each.document() for each in coverage]
        print(json.dumps({**_document(found, lines, accounts, well), "coverage": objects}))
    else:
        print("\n".join([_table(found, lines), *covered.table(coverage)]))
    return 0 if well else 1


async def _look(process: ProcessState) -> Line:
    if process.job or process.state == "skipped":
        return Line(process, process.state in {"done", "skipped"})
    alive = process.state == "ready" and state.is_alive(process.pid, process.birth)
    return Line(process, alive and await _healthy(process))


async def _healthy(process: ProcessState) -> bool:
    if not process.health:
        return True
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return await http.answers_ok(process.health)
    except (OSError, TimeoutError):
        return False


async def _accounts(identity: str) -> list[dict[str, Any]]:
    """The seeded accounts with a token each; none while identity does not answer."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:
            async with session.get(f"{identity}/accounts") as answer:
                accounts: list[dict[str, Any]] = (await answer.json())["accounts"]
            return [{**account, "token": await _token(session, identity, account)} for account in accounts]
    except (aiohttp.ClientError, TimeoutError):
        return []


async def _token(session: aiohttp.ClientSession, identity: str, account: dict[str, Any]) -> str:
    async with session.post(f"{identity}/token", json={"accountId": account["accountId"]}) as answer:
        return str((await answer.json())["token"])


def _document(found: StackState, lines: list[Line], accounts: list[dict[str, Any]], well: bool) -> dict[str, Any]:
    return {
        "running": True,
        "ok": well,
        "phase": found.phase,
        "address": found.address,
        "control": found.control,
        "identity": found.identity,
        "pid": found.pid,
        "processes": [_entry(line) for line in lines],
        "accounts": accounts,
    }


def _entry(line: Line) -> dict[str, Any]:
    process = line.process
    return {
        "name": process.name,
        "state": process.state,
        "ok": line.well,
        "address": process.address,
        "port": process.port,
        "pid": process.pid,
        "log": process.log,
        "health": process.health,
        "restarts": process.restarts,
    }


def _table(found: StackState, lines: list[Line]) -> str:
    rows = [f"{found.phase}: {found.address} (pid {found.pid})", ""]
    for line in lines:
        process = line.process
        mark = "ok" if line.well else "NOT OK"
        again = f"  restarts: {process.restarts}" if process.restarts else ""
        pid = process.pid if process.pid is not None else "-"
        rows.append(f"  {process.name:<12} {mark:<7} {process.state:<9} {pid!s:>8}  {process.address}{again}")
    return "\n".join(rows)
