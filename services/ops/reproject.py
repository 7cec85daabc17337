"""`umbra reproject TABLE|OBJECT`: makes shadow rows anew from the state after a changed mapping.

Needs neither Kafka nor Salesforce; workers, which must run with the same mapping already, go on. Plans unless told to
`--execute`. An interrupted run goes on where it stopped when the same command is given again. Products take their
price entries along: those hang on them.
Exit codes: 0 done (or planned), 1 it stopped, 2 no such table or object, 4 done, and rows differ again already:
somebody writes by another mapping.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.progress import Progress

from schemas import mapping as mappings
from schemas import topics
from schemas.mapping import Mapping as FieldMapping
from services.kernel import valkey
from services.kernel.settings import PostgresSettings, ValkeySettings, load, setting
from services.kernel.tagcache import TagCache
from services.kernel.valkey import AWAY
from services.ops.errors import CommandFailed
from services.projector import difference, reproject
from services.projector.difference import Difference
from services.projector.link import Link
from services.projector.reproject import Done
from services.projector.rows import ENTRY, PRODUCT

DIFFERS = 4
_POSTGRES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
Watch = Callable[[str, int], None]
"""Is told of an object and how many of its records are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    postgres: PostgresSettings
    valkey: ValkeySettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")


@dataclass(slots=True)
class Report:
    """Of one object. untold: tags that wait in the outbox for a worker, because Valkey was away"""

    object: str
    table: str
    records: int = 0
    tags: int = 0
    untold: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="+", metavar="TABLE|OBJECT", help="for example sf_product_shadow, or Product2")
    parser.add_argument("--execute", action="store_true", help="do it, or go on with what was interrupted")
    parser.add_argument("--slice", type=int, default=reproject.SLICE, help="records in a transaction (default: 500)")
    parser.add_argument("--fresh", action="store_true", help="begin anew instead of going on")


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    fields = mappings.load(settings.mapping_file)
    chosen = _chosen(fields, args.name)
    async with _connected(settings) as link:
        if not args.execute:
            planned = {name: await _differs(link, fields, chosen, name) for name in chosen}
            _print_plan(args, fields, planned)
            return 0
        totals = {name: (await link.rows("records_count", name))[0][0] for name in chosen}
        with _watching(totals, shown=sys.stderr.isatty() and not args.json) as watch:
            reports = [await _object(args, settings, fields, link, name, watch) for name in chosen]
        left = {name: await _differs(link, fields, chosen, name) for name in chosen}
    _print_reports(args, reports, left)
    return DIFFERS if any(each.any for each in left.values()) else 0


def _chosen(fields: FieldMapping, names: Sequence[str]) -> list[str]:
    """Objects in the order of their locks."""
    by_name = {fields.objects[name].table: name for name in topics.RECORD_TOPICS} | {n: n for n in topics.RECORD_TOPICS}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise CommandFailed(f"{', '.join(unknown)}: none of {', '.join(by_name)}", 2)
    wanted = {by_name[name] for name in names}
    wanted |= {ENTRY} if PRODUCT in wanted else set()
    return [name for name in topics.RECORD_TOPICS if name in wanted]


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[Link]:
    try:
        link = await reproject.connect(settings.postgres.dsn)
        try:
            yield link
        finally:
            link.connection.terminate()
    except asyncpg.UndefinedTableError as error:
        raise CommandFailed("the tables are older than this program: run `umbra migrate`") from error
    except _POSTGRES as error:
        why = f"Postgres does not answer: {type(error).__name__}"
        raise CommandFailed(f"{why}. What is done stays done; give the command again to go on") from error


async def _differs(link: Link, fields: FieldMapping, chosen: Sequence[str], name: str) -> Difference:
    return await difference.of(link, fields, name, with_products=PRODUCT in chosen)


async def _object(
    args: argparse.Namespace, settings: Settings, fields: FieldMapping, link: Link, name: str, watch: Watch
) -> Report:
    report = Report(name, fields.objects[name].table)
    start = Done() if args.fresh else await reproject.stands(link, fields, name)
    redis = valkey.client(settings.valkey)
    try:
        async for done in reproject.run(link, fields, name, start, args.slice):
            told = await _tell(link, TagCache(redis), done)
            report.records = done.records
            report.tags += len(done.tags)
            report.untold += 0 if told else len(done.tags)
            watch(name, done.records)
    finally:
        await redis.aclose()
    return report


async def _tell(link: Link, cache: TagCache, done: Done) -> bool:
    """Tell a slice's tags; with Valkey away they stay in the outbox, and a worker tells them."""
    if not done.tags:
        return True
    lsn = (await link.rows("lsn"))[0][0]
    try:
        await cache.invalidate(done.tags, lsn)
    except AWAY:
        return False
    await link.rows("outbox_delete", list(done.outbox))
    return True


@contextmanager
def _watching(totals: Mapping[str, int], *, shown: bool) -> Iterator[Watch]:
    if not shown:
        yield lambda name, records: None
        return
    with Progress(console=Console(stderr=True)) as bars:
        tasks = {name: bars.add_task(name, total=total) for name, total in totals.items()}
        yield lambda name, records: bars.update(tasks[name], completed=records)


def _print_plan(args: argparse.Namespace, fields: FieldMapping, planned: Mapping[str, Difference]) -> None:
    if args.json:
        shares = [_document(name, fields.objects[name].table, each) for name, each in planned.items()]
        print(json.dumps({"ok": True, "plan": shares}))
        return
    for name, each in planned.items():
        print(f"{fields.objects[name].table}: {_said(each)}")
    print("Nothing was written. Workers must run with this mapping first; then do it with --execute.")


def _document(name: str, table: str, each: Difference) -> dict[str, object]:
    return {"object": name, "table": table, **asdict(each)}


def _said(each: Difference) -> str:
    rows = f"of {each.records:,} records {each.appear:,} rows appear, {each.change:,} change, {each.go:,} go"
    more = f"{each.hide:,} become hidden, {each.unhide:,} are hidden no longer; {each.claims:,} claims change"
    return f"{rows}; {more}" + (f"; {each.messages:,} sentences change" if each.messages else "")


def _print_reports(args: argparse.Namespace, reports: Sequence[Report], left: Mapping[str, Difference]) -> None:
    if args.json:
        done = [asdict(each) | {"left": asdict(left[each.object])} for each in reports]
        print(json.dumps({"ok": not any(each.any for each in left.values()), "done": done}))
        return
    for each in reports:
        untold = f", {each.untold:,} wait for Valkey in the outbox" if each.untold else ""
        print(f"{each.table}: {each.records:,} records, {each.tags:,} tags{untold}")
        if left[each.object].any:
            print(f"  and differs again already: {_said(left[each.object])}. Does every worker run with this mapping?")
