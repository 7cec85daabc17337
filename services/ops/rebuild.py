"""`umbra rebuild TABLE|OBJECT`: fills a second generation of tables from the log, compares, swaps. Plans by default.

Products and price entries go together, and so do orders and their statuses. It begins from the last complete full read
that the log still holds, and is refused where there is none. Live reads never stop; workers wait from the comparison
to the commit of the swap. `--no-swap` stops after the comparison. Stopped (Ctrl-C), the same command goes on.
`--roll-back` brings back what the last swap replaced, caught up from where it stood.
Exit codes: 0 done (or planned), 5 refused, 130 stopped.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from schemas import topics
from services.ingestor import checkpoints
from services.ingestor.jobs.resume import job_name
from services.kernel.errors import Fatal
from services.kernel.settings import KafkaSettings, load
from services.ops.errors import CommandFailed
from services.ops.interrupts import STOPPED, until_stopped
from services.ops.progress import Meter, span_of
from services.ops.replay import REFUSED, Settings, opened
from services.projector.rebuild import run as rebuilds
from services.projector.rebuild import start
from services.projector.rebuild.run import Outcome, Plan, Wish
from services.projector.rebuild.start import Group, Job
from services.projector.replay import spans
from services.projector.replay.spans import Refused


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("table", choices=start.NAMES, metavar="TABLE|OBJECT", help=", ".join(start.NAMES))
    parser.add_argument("--roll-back", action="store_true", help="back to the generation before the last swap")
    parser.add_argument("--no-swap", action="store_true", help="fill and compare only")
    parser.add_argument(
        "--rate", type=int, default=spans.RATE, metavar="N", help=f"events a second at most (default: {spans.RATE})"
    )
    parser.add_argument("--fresh", action="store_true", help="begin anew instead of going on with a stopped run")
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--plan", action="store_true", help="say what it would read (this is the default)")
    doing.add_argument("--execute", action="store_true", help="do it, or go on with what was stopped")


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    if args.rate < 1:
        raise CommandFailed("--rate is at least 1 event a second", 2)
    wish = Wish(group=start.group_of(args.table), back=args.roll_back, swap=not args.no_swap)
    try:
        async with opened(settings) as means:
            said = [] if args.roll_back else await _said(settings.kafka, wish.group)
            if not args.execute:
                _print_plan(args, wish, await rebuilds.planned(means, wish, args.rate, said, fresh=args.fresh))
                return 0
            async with until_stopped() as stop:
                with Meter(wish.kind, shown=not args.json) as meter:
                    outcome = await rebuilds.run(means, wish, args.rate, meter.show, stop, said, fresh=args.fresh)
    except Refused as error:
        raise CommandFailed(str(error), REFUSED) from error
    except Fatal as error:
        raise CommandFailed(str(error)) from error
    _print_outcome(args, wish, outcome)
    return STOPPED if outcome.state == "stopped" else 0


async def _said(kafka: KafkaSettings, group: Group) -> list[Job]:
    """Complete full reads by their own account: where no projector runs, the ledger knows nothing of the newest."""
    found = []
    for name in group.objects:
        stored = await checkpoints.read(kafka, topics.JOBS_PARTITION, job_name(name))
        if stored is not None and stored.job_id is not None and stored.job.get("state") == "complete":
            proven = int(stored.job["proven_r0_ms"]) - int(stored.job["margin_ms"])
            found.append(Job(name, stored.job_id, proven // 1000 * 1000))
    return found


def _print_plan(args: argparse.Namespace, wish: Wish, plan: Plan) -> None:
    if args.json:
        parts = [
            {"topic": each.place.topic, "partition": each.place.partition, "from": each.begin, "to": each.end}
            for each in plan.spans
        ]
        minutes = round(plan.seconds / 60, 1)
        document: dict[str, Any] = {"group": wish.group.name, "events": plan.events, "minutes": minutes}
        document |= {"goes_on": plan.goes_on, "reads": [each._asdict() for each in plan.jobs]}
        print(json.dumps({"ok": True, "plan": document | {"moves_offsets_of": plan.broken, "partitions": parts}}))
        return
    for job in plan.jobs:
        print(f"{job.object:<15} from the full read {job.job_id}")
    for span in plan.spans:
        print(f"{span.place.topic}/{span.place.partition}  {span.begin:>10,} to {span.end:,}")
    if plan.broken:
        print(f"No worker can go on in {', '.join(plan.broken)}: the swap sets where they begin.")
    went = "Goes on with a run that was stopped. " if plan.goes_on else ""
    print(
        f"{went}{', '.join(wish.group.tables)}: at most {plan.events:,} events, about {span_of(plan.seconds)}. Reads "
        "and workers go on meanwhile. Nothing was read. Do it with --execute."
    )


def _print_outcome(args: argparse.Namespace, wish: Wish, outcome: Outcome) -> None:
    if args.json:
        document = {"state": outcome.state, "events": outcome.events, "letters": outcome.letters}
        document |= {"dropped": outcome.dropped, "told": outcome.told, "left": outcome.left}
        document["differences"] = outcome.differences.document()
        print(json.dumps({"ok": outcome.state != "stopped", wish.kind: document}))
        return
    print(f"{outcome.events:,} events read, {outcome.letters:,} unusable, {outcome.dropped:,} records dropped.")
    for (table, kind), count in sorted(outcome.differences.counts.items()):
        print(f"{table:<31} {kind:<8} {count:>10,}  {_samples(outcome, table, kind)}")
    if not outcome.told:
        print("Valkey was away: the workers tell the caches of what waits in the outbox.")
    print(_end(args, outcome))


def _samples(outcome: Outcome, table: str, kind: str) -> str:
    samples = [each for each in outcome.differences.samples if (each.table, each.kind) == (table, kind)]
    return ", ".join(f"{each.id} ({' '.join(each.columns)})" for each in samples[:2])


def _end(args: argparse.Namespace, outcome: Outcome) -> str:
    if outcome.state == "stopped":
        return f"Stopped with at most {outcome.left:,} events left. The same command goes on."
    same = "" if outcome.differences.counts else "The two generations are equal. "
    if outcome.state == "compared":
        return f"{same}Nothing was swapped. The same command without --no-swap does it."
    return f"{same}Swapped. Back with `umbra rebuild {args.table} --roll-back --execute`."
