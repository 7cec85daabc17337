"""`umbra backfill`: a full read of objects by Bulk 2.0 into the log. Plans unless told to `--execute`.

An interrupted or PARTIAL run goes on where it stopped when the same command is given again.
Exit codes: 0 every object COMPLETE (or planned, and today's allowance is enough), 4 some object PARTIAL, 5 planned, and
today's allowance is not enough.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from schemas import mapping as mappings
from schemas import topics, versions
from schemas.mapping import ObjectMapping
from services.ingestor import checkpoints
from services.ingestor.jobs import backfill, plan
from services.ingestor.jobs.backfill import Means, Outcome, Watch
from services.ingestor.jobs.plan import Allowance, Planned
from services.ingestor.jobs.resume import job_name
from services.ingestor.transactions import Abandoned
from services.kernel import metrics, valkey
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings, ValkeySettings, at_least, load, setting
from services.ops.errors import CommandFailed
from services.salesforce import door
from services.salesforce.calls import CallClass
from services.salesforce.door import Door
from services.salesforce.errors import Refused, SalesforceError
from services.salesforce.settings import SalesforceSettings

PARTIAL = 4
NOT_ENOUGH = 5
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
    parser.add_argument("--anti-join", action="store_true", help="then find records that are gone without an event")
    parser.add_argument("--many", action="store_true", help="believe --anti-join also that very many are gone")
    parser.add_argument(
        "--rate", type=float, metavar="ROWS", help="rows a second to plan with (default: as the last run measured)"
    )
    parser.add_argument(
        "--within", type=float, default=720.0, metavar="MINUTES", help="longest wait for Salesforce (default: 720)"
    )


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    chosen = chosen_objects(args, settings.mapping_file)
    async with opened(settings) as salesforce:
        planned, left = await _planned(args, settings, salesforce, list(chosen))
        if not args.execute:
            _print_plan(args, planned, left)
            return 0 if left is None or plan.fits(planned, left) else NOT_ENOUGH
        means = means_of(settings, salesforce, args.within)
        with watching({share.object: share.rows for share in planned}, shown=_shown(args)) as watch:
            outcomes = await _all(means, chosen, watch, args)
    print_outcomes(args, outcomes)
    return 0 if all(outcome.state == "COMPLETE" for outcome in outcomes) else PARTIAL


async def _planned(
    args: argparse.Namespace, settings: Settings, salesforce: Door, names: Sequence[str]
) -> tuple[list[Planned], Allowance | None]:
    """One call for each object, and one for the allowance, which not every user may read."""
    rates = {name: args.rate for name in names} if args.rate else await _measured(settings.kafka, names)
    try:
        planned = await plan.planned(salesforce.rest, names, rates)
        if args.execute:
            return planned, None
        floor = settings.salesforce.floor(CallClass.BACKFILL)
        return planned, await plan.allowance(salesforce.rest, floor)
    except Refused:
        return planned, None
    except SalesforceError as error:
        raise CommandFailed(f"nothing could be counted: {type(error).__name__}: {error}") from error


async def _measured(kafka: KafkaSettings, names: Sequence[str]) -> dict[str, float]:
    """Rows a second of each object's last run; the log may be away while one plans."""
    rates: dict[str, float] = {}
    with suppress(KafkaError, Abandoned):
        for name in names:
            stored = await checkpoints.read(kafka, topics.JOBS_PARTITION, job_name(name))
            if stored is not None and "rate" in stored.job:
                rates[name] = float(stored.job["rate"])
    return rates


def _shown(args: argparse.Namespace) -> bool:
    return sys.stderr.isatty() and not args.json


def chosen_objects(args: argparse.Namespace, mapping_file: Path | None) -> dict[str, ObjectMapping]:
    objects = mappings.load(mapping_file).objects
    known = {name: objects[name] for name in topics.RECORD_TOPICS if name in objects}
    wanted = list(known) if args.all else args.object
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise CommandFailed(f"not mapped: {', '.join(unknown)}; mapped are {', '.join(known)}", 2)
    return {name: known[name] for name in wanted}


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Door]:
    cache = valkey.client(settings.valkey)
    try:
        async with door.opened(settings.salesforce, cache, metrics.registry()) as salesforce:
            yield salesforce
    finally:
        await cache.aclose()


def means_of(settings: Settings, salesforce: Door, minutes: float) -> Means:
    return Means(
        kafka=settings.kafka,
        rest=salesforce.rest,
        bulk=salesforce.bulk,
        dsn=settings.postgres_dsn,
        statuses=mappings.load(settings.mapping_file).order_status,
        margin_ms=settings.read_margin_ms,
        job_seconds=minutes * 60,
        clock=SYSTEM,
    )


async def _all(
    means: Means, chosen: Mapping[str, ObjectMapping], watch: Watch, args: argparse.Namespace
) -> list[Outcome]:
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(mapping: ObjectMapping) -> Outcome:
        async with places:
            return await backfill.run(means, mapping, watch, fresh=args.fresh, anti_join=args.anti_join, many=args.many)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(mapping), name=f"backfill {name}") for name, mapping in chosen.items()]
    return [task.result() for task in tasks]


@contextmanager
def watching(rows_of: Mapping[str, int], *, shown: bool) -> Iterator[Watch]:
    """A bar for each object, with its rate and the time left, where a person looks on."""
    if not shown:
        yield lambda name, rows, total: None
        return
    rate = TextColumn("{task.fields[rate]:>14}")
    name_column = TextColumn("{task.description:<15}")
    bars = Progress(
        name_column, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn(), console=Console(stderr=True)
    )
    with bars:
        tasks = {name: bars.add_task(name, total=rows, rate="") for name, rows in rows_of.items()}
        yield lambda name, rows, total: _move(bars, tasks[name], rows, total)


def _move(bars: Progress, task: TaskID, rows: int, total: int) -> None:
    bars.update(task, completed=rows, total=total)
    speed = bars.tasks[bars.task_ids.index(task)].speed
    bars.update(task, rate="" if speed is None else f"{speed:,.0f} rows/s")


def _print_plan(args: argparse.Namespace, planned: Sequence[Planned], left: Allowance | None) -> None:
    calls, jobs = sum(share.calls for share in planned), sum(share.jobs for share in planned)
    minutes = sum(share.seconds for share in planned) / 60
    if args.json:
        allowance = None if left is None else asdict(left) | {"enough": plan.fits(planned, left)}
        total = {"calls": calls, "jobs": jobs, "minutes": round(minutes, 1)}
        shares = [asdict(share) for share in planned]
        print(json.dumps({"ok": True, "plan": shares, "total": total, "allowance": allowance}))
        return
    for share in planned:
        print(
            f"{share.object:<15} {share.rows:>10,} rows  {share.jobs} Bulk job  about {share.calls:,} API calls"
            f"  about {share.seconds / 60:,.1f} min"
        )
    print(
        f"about {calls:,} API calls, {jobs} Bulk jobs and {minutes:,.1f} minutes in all, beside Salesforce's own time."
    )
    print(_verdict(planned, left) + " Nothing was read. Do it with --execute.")


def _verdict(planned: Sequence[Planned], left: Allowance | None) -> str:
    if left is None:
        return "Salesforce does not tell this user what is left today."
    jobs = "" if left.jobs_left is None else f" and {left.jobs_left:,} Bulk jobs"
    enough = "which is enough." if plan.fits(planned, left) else "which is NOT enough: it would end PARTIAL."
    return (
        f"Left today: {left.calls_left:,} of {left.calls_most:,} calls, of which a backfill may take {left.usable:,}"
        f"{jobs}, {enough}"
    )


def print_outcomes(args: argparse.Namespace, outcomes: Sequence[Outcome]) -> None:
    if args.json:
        ok = all(outcome.state == "COMPLETE" for outcome in outcomes)
        print(json.dumps({"ok": ok, "outcomes": [asdict(outcome) for outcome in outcomes]}))
        return
    for outcome in outcomes:
        gone = f", {outcome.absent} gone" if outcome.absent else ""
        closed = f", closes {len(outcome.closed)} holes" if outcome.closed else ""
        why = f": {outcome.reason}; give the command again to go on ({outcome.token})" if outcome.reason else ""
        print(f"{outcome.object:<15} {outcome.state:<8} {outcome.rows:>10,} rows{gone}{closed}{why}")
