"""`umbra replay`: apply records of the log once more, beside the workers. Plans unless told to `--execute`.

Idempotent: what is applied already changes no row and tells no cache. `--repair` takes equal versions too and compares
every row, which mends what was written wrongly. A replay writes nothing into the log, so no order status is shown
again. Stopped (Ctrl-C), the same command goes on.
Exit codes: 0 done (or planned), 5 refused, 130 stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from schemas import ids, mapping, versions
from services.kernel import valkey
from services.kernel.clock import SYSTEM
from services.kernel.errors import Fatal
from services.kernel.settings import KafkaSettings, PostgresSettings, ValkeySettings, at_least, load, setting
from services.kernel.tagcache import TagCache
from services.ops.errors import CommandFailed
from services.ops.interrupts import STOPPED, until_stopped
from services.ops.progress import Meter, span_of
from services.projector import dead_letters, locks
from services.projector.dead_letters import DeadLetters
from services.projector.replay import run as replays
from services.projector.replay import spans
from services.projector.replay.run import Means, Outcome, Plan
from services.projector.replay.spans import Refused, Wish

REFUSED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    kafka: KafkaSettings
    postgres: PostgresSettings
    valkey: ValkeySettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")
    projector_dead_letter_limit: int = setting(
        default=100, doc="Records that may be set aside within an hour, by all together.", check=at_least(0)
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--topic", required=True, choices=list(locks.GROUPS), help="which log")
    begin = parser.add_mutually_exclusive_group(required=True)
    begin.add_argument("--from-offset", nargs="+", type=place, metavar="P:N", help="partitions, and where to begin")
    begin.add_argument("--from-time", type=moment, metavar="TIME", help="records written then or later (ISO 8601)")
    begin.add_argument("--from-beginning", action="store_true", help="all that the log still holds")
    begin.add_argument("--key", type=record_id, metavar="ID", help="all that the log still holds of one record")
    until = parser.add_mutually_exclusive_group()
    until.add_argument(
        "--to-offset", nargs="+", type=place, metavar="P:N", help="partitions, and the first not to read"
    )
    until.add_argument("--to-time", type=moment, metavar="TIME", help="only records written before then")
    parser.add_argument("--repair", action="store_true", help="take equal versions too, compare every row")
    parser.add_argument(
        "--rate", type=int, default=spans.RATE, metavar="N", help=f"events a second at most (default: {spans.RATE})"
    )
    parser.add_argument("--fresh", action="store_true", help="begin anew instead of going on with a stopped run")
    doing = parser.add_mutually_exclusive_group()
    doing.add_argument("--plan", action="store_true", help="say what it would read (this is the default)")
    doing.add_argument("--execute", action="store_true", help="do it, or go on with what was stopped")


def place(text: str) -> tuple[int, int]:
    partition, colon, offset = text.partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text} is no PARTITION:OFFSET")
    return int(partition), int(offset)


def moment(text: str) -> datetime:
    """A time without a zone is UTC, as everything in the log is."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no time in ISO 8601") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def record_id(text: str) -> str:
    try:
        return ids.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is no Salesforce id: {error}") from error


async def run(args: argparse.Namespace) -> int:
    settings, wish = load(Settings, args.environ), wish_of(args)
    if args.rate < 1:
        raise CommandFailed("--rate is at least 1 event a second", 2)
    try:
        async with opened(settings) as means:
            if not args.execute:
                _print_plan(args, await replays.planned(means, wish, args.rate, fresh=args.fresh))
                return 0
            async with until_stopped() as stop:
                with Meter("replay", shown=not args.json) as meter:
                    outcome = await replays.run(means, wish, args.rate, meter.show, stop, fresh=args.fresh)
    except Refused as error:
        raise CommandFailed(str(error), REFUSED) from error
    except Fatal as error:
        raise CommandFailed(str(error)) from error
    _print_outcome(args, outcome)
    return 0 if outcome.done else STOPPED


def wish_of(args: argparse.Namespace) -> Wish:
    return Wish(
        topic=args.topic,
        offsets=_by_partition(args.from_offset),
        since_ms=None if args.from_time is None else versions.millis(args.from_time),
        beginning=args.from_beginning,
        key=args.key,
        until=_by_partition(args.to_offset),
        until_ms=None if args.to_time is None else versions.millis(args.to_time),
        repair=args.repair,
    )


def _by_partition(given: Sequence[tuple[int, int]] | None) -> dict[int, int]:
    return dict(given or ())


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Means]:
    """Raises CommandFailed while Postgres is away or older than this program."""
    client = valkey.client(settings.valkey)
    try:
        async with dead_letters.to_topic(settings.kafka) as send:
            dead = DeadLetters(send, limit=settings.projector_dead_letter_limit, clock=SYSTEM)
            yield Means(
                kafka=settings.kafka,
                dsn=settings.postgres.dsn,
                mapping=mapping.load(settings.mapping_file),
                cache=TagCache(client),
                outlet=dead.take,
            )
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise CommandFailed("the tables are older than this program: run `umbra migrate`") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise CommandFailed("this role may not do it: run it as the tables' owner, as `umbra migrate` is") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandFailed(f"Postgres does not answer: {type(error).__name__}") from error
    finally:
        await client.aclose()


def _print_plan(args: argparse.Namespace, plan: Plan) -> None:
    if args.json:
        parts = [{"partition": each.place.partition, "from": each.begin, "to": each.end} for each in plan.spans]
        document: dict[str, Any] = {"events": plan.events, "rows": plan.rows, "minutes": round(plan.seconds / 60, 1)}
        document |= {"rate": plan.rate, "goes_on": plan.goes_on, "partitions": parts}
        print(json.dumps({"ok": True, "plan": document}))
        return
    for span in plan.spans:
        print(f"{span.place.topic}/{span.place.partition}  {span.begin:>10,} to {span.end:,}")
    went = "Goes on with a run that was stopped. " if plan.goes_on else ""
    print(
        f"{went}At most {plan.events:,} events of {plan.rows:,} records, at {plan.rate:,} a second about "
        f"{span_of(plan.seconds)}. The workers go on meanwhile. Nothing was read. Do it with --execute."
    )


def _print_outcome(args: argparse.Namespace, outcome: Outcome) -> None:
    if args.json:
        document = {"events": outcome.events, "changed": outcome.changed, "letters": outcome.letters}
        document |= {"told": outcome.told, "left": outcome.left}
        print(json.dumps({"ok": outcome.done, "replay": document}))
        return
    print(f"{outcome.events:,} events read, {outcome.changed:,} records {_verb(args)}, {outcome.letters:,} unusable.")
    if not outcome.told:
        print("Valkey was away: the workers tell the caches of what waits in the outbox.")
    if not outcome.done:
        print(f"Stopped with at most {outcome.left:,} events left. The same command goes on.")


def _verb(args: argparse.Namespace) -> str:
    return "compared" if args.repair else "changed"
