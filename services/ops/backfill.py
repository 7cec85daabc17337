"""`umbra backfill`: a full read of objects by Bulk 2.0 into the log. Plans unless told to `--execute`.

An interrupted or PARTIAL run goes on where it stopped when the same command is given again.
Exit codes: 0 every object COMPLETE (or planned), 4 some object PARTIAL.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from schemas import mapping as mappings
from schemas import topics, versions
from schemas.mapping import ObjectMapping
from services.ingestor.jobs import backfill, plan
from services.ingestor.jobs.backfill import Means, Outcome, Watch
from services.ingestor.jobs.plan import Planned
from services.kernel import metrics, valkey
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings, ValkeySettings, at_least, load, setting
from services.ops.errors import CommandFailed
from services.salesforce import door
from services.salesforce.door import Door
from services.salesforce.errors import SalesforceError
from services.salesforce.settings import SalesforceSettings

PARTIAL = 4
_AT_ONCE = 4
"""Objects read at the same time; Salesforce works on several jobs in parallel, and so does the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    kafka: KafkaSettings
    valkey: ValkeySettings
    salesforce: SalesforceSettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")
    postgres_dsn: str = setting(
        default="", secret=True, doc="PostgreSQL connection URI: which holes are open. Without it they stay open."
    )
    read_margin_ms: int = setting(
        default=versions.DEFAULT_MARGIN_MS,
        check=at_least(5000),
        doc="M: how far before its own start a read proves, in milliseconds. A greater one is always safe.",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--object", nargs="+", metavar="NAME", help="objects to read, for example Product2 Account")
    which.add_argument("--all", action="store_true", help="read every mapped object")
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--plan", action="store_true", help="count, and say what it would cost (this is the default)")
    doing.add_argument("--execute", action="store_true", help="do it, or go on with what was interrupted")
    parser.add_argument("--fresh", action="store_true", help="start anew instead of going on")
    parser.add_argument(
        "--within", type=float, default=720.0, metavar="MINUTES", help="longest wait for Salesforce (default: 720)"
    )


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    chosen = _chosen(args, settings)
    async with _opened(settings) as salesforce:
        try:
            planned = await plan.planned(salesforce.rest, list(chosen))
        except SalesforceError as error:
            raise CommandFailed(f"nothing could be counted: {type(error).__name__}: {error}") from error
        if not args.execute:
            _print_plan(args, planned)
            return 0
        means = _means(settings, salesforce, args)
        with _watching(planned, shown=sys.stderr.isatty() and not args.json) as watch:
            outcomes = await _all(means, chosen, watch, fresh=args.fresh)
    _print_outcomes(args, outcomes)
    return 0 if all(outcome.state == "COMPLETE" for outcome in outcomes) else PARTIAL


def _chosen(args: argparse.Namespace, settings: Settings) -> dict[str, ObjectMapping]:
    objects = mappings.load(settings.mapping_file).objects
    known = {name: objects[name] for name in topics.RECORD_TOPICS if name in objects}
    wanted = list(known) if args.all else args.object
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise CommandFailed(f"not mapped: {', '.join(unknown)}; mapped are {', '.join(known)}", 2)
    return {name: known[name] for name in wanted}


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Door]:
    cache = valkey.client(settings.valkey)
    try:
        async with door.opened(settings.salesforce, cache, metrics.registry()) as salesforce:
            yield salesforce
    finally:
        await cache.aclose()


def _means(settings: Settings, salesforce: Door, args: argparse.Namespace) -> Means:
    return Means(
        kafka=settings.kafka,
        rest=salesforce.rest,
        bulk=salesforce.bulk,
        dsn=settings.postgres_dsn,
        statuses=mappings.load(settings.mapping_file).order_status,
        margin_ms=settings.read_margin_ms,
        job_seconds=args.within * 60,
        clock=SYSTEM,
    )


async def _all(means: Means, chosen: Mapping[str, ObjectMapping], watch: Watch, *, fresh: bool) -> list[Outcome]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(mapping: ObjectMapping) -> Outcome:
        async with places:
            return await backfill.run(means, mapping, watch, fresh=fresh)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(mapping), name=f"backfill {name}") for name, mapping in chosen.items()]
    return [task.result() for task in tasks]


@contextmanager
def _watching(planned: Sequence[Planned], *, shown: bool) -> Iterator[Watch]:
    """A bar for each object, with its rate and the time left, where a person looks on."""
    if not shown:
        yield lambda name, rows, total: None
        return
    rate = TextColumn("{task.fields[rate]:>12}")
    name_column = TextColumn("{task.description:<15}")
    bars = Progress(
        name_column, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn(), console=Console(stderr=True)
    )
    with bars:
        tasks = {share.object: bars.add_task(share.object, total=share.rows, rate="") for share in planned}
        yield lambda name, rows, total: _move(bars, tasks[name], rows, total)


def _move(bars: Progress, task: TaskID, rows: int, total: int) -> None:
    bars.update(task, completed=rows, total=total)
    speed = bars.tasks[bars.task_ids.index(task)].speed
    bars.update(task, rate="" if speed is None else f"{speed:,.0f} rows/s")


def _print_plan(args: argparse.Namespace, planned: Sequence[Planned]) -> None:
    if args.json:
        print(json.dumps({"ok": True, "plan": [asdict(share) for share in planned]}))
        return
    for share in planned:
        print(f"{share.object:<15} {share.rows:>10,} rows  {share.jobs} Bulk job  about {share.calls:,} API calls")
    calls = sum(share.calls for share in planned)
    print(f"about {calls:,} API calls and {len(planned)} Bulk jobs in all; nothing was read. Do it with --execute.")


def _print_outcomes(args: argparse.Namespace, outcomes: Sequence[Outcome]) -> None:
    if args.json:
        ok = all(outcome.state == "COMPLETE" for outcome in outcomes)
        print(json.dumps({"ok": ok, "outcomes": [asdict(outcome) for outcome in outcomes]}))
        return
    for outcome in outcomes:
        closed = f", closes {len(outcome.closed)} holes" if outcome.closed else ""
        why = f": {outcome.reason}; give the command again to go on ({outcome.token})" if outcome.reason else ""
        print(f"{outcome.object:<15} {outcome.state:<8} {outcome.rows:>10,} rows{closed}{why}")
