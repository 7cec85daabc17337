"""`umbra verify`: the org against the shadow by counts, by ranges of ids, and by rows where they differ.

Reads only, unless told to `--repair --execute`: then what differs is written through the log. What was touched within
the margin of the read is no difference. Fields are named, their values never shown.
Exit codes: 0 the same, or repaired (or planned), 4 some object PARTIAL, 7 something differs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from schemas.mapping import ObjectMapping
from services.ingestor.jobs import verify
from services.ingestor.jobs.means import Means
from services.ingestor.jobs.verify import Planned, Report, Wish
from services.kernel.errors import Retryable
from services.kernel.settings import load
from services.ops import backfill
from services.ops.backfill import PARTIAL, Settings
from services.ops.errors import CommandFailed

DIFFERENT = 7
_BAD_USAGE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--object", nargs="+", metavar="NAME", help="objects to compare, for example Product2 Account")
    which.add_argument("--all", action="store_true", help="compare every mapped object")
    which.add_argument("--resume", metavar="TOKEN", help="go on where a PARTIAL run stopped")
    parser.add_argument("--plan", action="store_true", help="only say what it would cost")
    parser.add_argument(
        "--rows", action="store_true", help="compare every row, also of large objects where counts and stamps agree"
    )
    parser.add_argument("--repair", action="store_true", help="say what would be written; write it with --execute")
    parser.add_argument("--execute", action="store_true", help="with --repair: write what differs through the log")
    parser.add_argument(
        "--most-rows",
        type=int,
        default=verify.MOST_ROWS,
        metavar="N",
        help=f"rows compared one by one before it stops and advises a full read (default: {verify.MOST_ROWS})",
    )


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    if args.execute and not args.repair:
        raise CommandFailed("--execute is for --repair: without it nothing is written anyway", _BAD_USAGE)
    if not settings.postgres_dsn:
        raise CommandFailed("UMBRA_POSTGRES_DSN is not set: there is no shadow to compare with", _BAD_USAGE)
    chosen, start = _chosen(args, settings)
    wish = Wish(rows=args.rows, repair=args.repair and args.execute, most_rows=args.most_rows, start=start)
    try:
        async with backfill.opened(settings) as salesforce:
            means = backfill.means_of(settings, salesforce, minutes=60)
            if args.plan:
                return await _plan(args, means, chosen, wish)
            reports = [await verify.run(means, mapping, wish) for mapping in chosen.values()]
    except Retryable as error:
        raise CommandFailed(str(error)) from error
    _print(args, reports)
    return _code(reports)


def _chosen(args: argparse.Namespace, settings: Settings) -> tuple[dict[str, ObjectMapping], str]:
    if not args.resume:
        return backfill.chosen_objects(args, settings.mapping_file), ""
    try:
        name, start = verify.object_of(args.resume)
    except ValueError as error:
        raise CommandFailed(str(error), _BAD_USAGE) from error
    args.object, args.all = [name], False
    return backfill.chosen_objects(args, settings.mapping_file), start


async def _plan(args: argparse.Namespace, means: Means, chosen: Mapping[str, ObjectMapping], wish: Wish) -> int:
    planned: list[Planned] = [await verify.planned(means, mapping, wish) for mapping in chosen.values()]
    if args.json:
        print(json.dumps({"ok": True, "plan": [asdict(share) for share in planned]}))
        return 0
    for share in planned:
        print(f"{share.object:<15} {share.shadow:>10,} rows  {share.least_calls} to {share.most_calls} API calls")
    print("Nothing was compared. Without --plan it is.")
    return 0


def _code(reports: Sequence[Report]) -> int:
    if any(report.state == "PARTIAL" for report in reports):
        return PARTIAL
    return DIFFERENT if any(report.differing > report.repaired for report in reports) else 0


def _print(args: argparse.Namespace, reports: Sequence[Report]) -> None:
    if args.json:
        print(json.dumps({"ok": _code(reports) == 0, "reports": [asdict(report) for report in reports]}))
        return
    for report in reports:
        why = f": {report.reason}; go on with --resume {report.token}" if report.reason else ""
        print(
            f"{report.object:<15} {report.state:<8} org {report.org:,}, shadow {report.shadow:,}; "
            f"{report.differing} differ of {report.rows:,} rows compared, "
            f"{report.repaired} repaired, {report.young} too young; "
            f"{report.calls} API calls{why}"
        )
        for each in report.differences:
            print(f"    {each.kind:<8} {each.record_id} {', '.join(each.fields)}".rstrip())
    if any(report.differing > report.repaired for report in reports):
        print("What differs is written through the log with --repair --execute.")
