"""`umbra delta`: read what was changed or deleted since the last proof. Plans unless told to `--execute`.

An interrupted or PARTIAL run goes on, or starts anew, when the same command is given again.
Exit codes: 0 every object COMPLETE (or planned), 4 some object PARTIAL, 6 planned, and some object has to be read in
full first (umbra backfill --anti-join).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict

from schemas.mapping import ObjectMapping
from services.ingestor.jobs import delta
from services.ingestor.jobs.delta import Planned
from services.ingestor.jobs.lives import Unproven
from services.ingestor.jobs.means import Means
from services.kernel.settings import load
from services.ops import backfill
from services.ops.backfill import PARTIAL, Settings
from services.ops.errors import CommandFailed
from services.salesforce.errors import SalesforceError

FULL_FIRST = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--object", nargs="+", metavar="NAME", help="objects to read, for example Product2 Account")
    which.add_argument("--all", action="store_true", help="read every mapped object")
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--plan", action="store_true", help="say since when and how many (this is the default)")
    doing.add_argument("--execute", action="store_true", help="do it, or go on with what was interrupted")
    parser.add_argument(
        "--within", type=float, default=120.0, metavar="MINUTES", help="longest wait for Salesforce (default: 120)"
    )


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    chosen = backfill.chosen_objects(args, settings.mapping_file)
    async with backfill.opened(settings) as salesforce:
        means = backfill.means_of(settings, salesforce, args.within)
        if not args.execute:
            return await _plan(args, means, chosen)
        shown = sys.stderr.isatty() and not args.json
        with backfill.watching(dict.fromkeys(chosen, 0), shown=shown) as watch:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(delta.run(means, mapping, watch), name=f"delta {name}")
                    for name, mapping in chosen.items()
                ]
    outcomes = [task.result() for task in tasks]
    backfill.print_outcomes(args, outcomes)
    return 0 if all(outcome.state == "COMPLETE" for outcome in outcomes) else PARTIAL


async def _plan(args: argparse.Namespace, means: Means, chosen: Mapping[str, ObjectMapping]) -> int:
    planned: list[Planned] = []
    refused: dict[str, str] = {}
    for name, mapping in chosen.items():
        try:
            planned.append(await delta.planned(means, mapping))
        except Unproven as error:
            refused[name] = str(error)
        except SalesforceError as error:
            raise CommandFailed(f"nothing could be counted: {type(error).__name__}: {error}") from error
    _print(args, planned, refused)
    return FULL_FIRST if refused else 0


def _print(args: argparse.Namespace, planned: list[Planned], refused: Mapping[str, str]) -> None:
    if args.json:
        full_first = [{"object": name, "why": why} for name, why in refused.items()]
        plan = [asdict(share) for share in planned]
        print(json.dumps({"ok": not refused, "plan": plan, "full_read_first": full_first}))
        return
    for share in planned:
        how = "1 Bulk job" if share.jobs else "by REST"
        print(f"{share.object:<15} since {share.since}  {share.rows:>8,} rows  {how}  about {share.calls} API calls")
    for name, why in refused.items():
        print(f"{name:<15} {why} (umbra backfill --object {name} --anti-join --execute)")
    print("Nothing was read. Do it with --execute.")
