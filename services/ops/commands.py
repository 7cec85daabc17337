"""Every subcommand of `umbra`, in the order in which help shows them.

A subcommand is one file with `add_arguments(parser)` and `async def run(args) -> int`. It finds in `args`:
`environ` (settings as the services read them), `json` (print JSON), `state_dir` (of the local stack).
Only the module of the command that was asked for is imported.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, cast


class CommandModule(Protocol):
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Coroutine[Any, Any, int]]


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    summary: str

    def load(self) -> CommandModule:
        return cast("CommandModule", importlib.import_module(f"services.ops.{self.name.replace('-', '_')}"))


COMMANDS = (
    Command("up", "start the local stack"),
    Command("down", "stop the local stack"),
    Command("status", "what runs, where, and how it is"),
    Command("smoke", "start a stack, change something, see it arrive everywhere, stop"),
    Command("migrate", "bring tables and topics up to date"),
    Command("backfill", "read whole objects into the log"),
    Command("dlq", "records that could not be used: list, show, retry, drop"),
    Command("delta", "read what was changed or deleted since the last proof"),
    Command("verify", "compare the org with the shadow, and repair what differs"),
    Command("replay", "apply records of the log once more, beside the workers"),
    Command("rebuild", "fill a second generation of tables from the log, compare, swap; and back"),
    Command("coverage", "of which times each object is observed or proven, by what, and what not"),
    Command("prove", "one record in Umbra beside the org, field by field, for one call"),
    Command("watch", "one line for each change, from its commit to the row, the caches and the socket"),
    Command("explain", "one record: its events in the log, what wrote each field, why it is not shown"),
    Command("cache", "void cached answers by their tags; compare them with the rows"),
    Command("reproject", "make shadow rows anew from the state after a changed mapping"),
    Command("doctor", "check the org and the servers, and say what to change"),
)
