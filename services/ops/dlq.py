"""`umbra dlq`: records that could not be used: list them, look at one, fetch it again, or let it go.

retry and drop plan unless told to `--execute`. A letter of stage decode is an event that Salesforce keeps for 72
hours; one of stage apply is a record of the log, which is read again by a replay, not here.
Exit codes: 0 done (or planned), 4 it stays open.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from schemas import mapping as mappings
from schemas.events import DeadLetter, stamp
from services.ingestor.repair import letters
from services.ingestor.repair.letters import Case, Unresolved
from services.ingestor.transactions import Abandoned
from services.kernel import metrics, postgres, valkey
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings, ValkeySettings, load, setting
from services.ops.errors import CommandFailed
from services.ops.words import word
from services.salesforce import door
from services.salesforce.errors import SalesforceError
from services.salesforce.pubsub import client
from services.salesforce.pubsub.client import PubSub
from services.salesforce.pubsub.org_clock import OrgClock
from services.salesforce.settings import SalesforceSettings

OPEN = 4
_QUERIES = Path(__file__).with_name("dlq.sql")
_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    kafka: KafkaSettings
    postgres_dsn: str = setting(
        default="", secret=True, doc="PostgreSQL connection URI: letters of stage apply. Without it only the topic's."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    kafka: KafkaSettings
    valkey: ValkeySettings
    salesforce: SalesforceSettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    doing = parser.add_subparsers(dest="doing", metavar="WHAT", required=True)
    listing = word(doing, "list", "what is open")
    listing.add_argument("--all", action="store_true", help="also what was retried or dropped")
    for name, text in (
        ("show", "one of them, with all that is known"),
        ("retry", "fetch the event again, write its changes, close its hole: one delivery"),
        ("drop", "let it go; its hole stays until a read closes it"),
    ):
        sub = word(doing, name, text)
        sub.add_argument("id", help="as `list` shows it")
        if name != "show":
            sub.add_argument("--execute", action="store_true", help="do it")
        if name == "drop":
            sub.add_argument("--reason", required=True, help="why, for whoever comes after")


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    found = await _cases(settings)
    if args.doing == "list":
        _print_list(args, [case for case in found if args.all or case.state == "open"])
        return 0
    case = next((case for case in found if case.id == args.id), None)
    if case is None:
        raise CommandFailed(f"there is no letter {args.id}; `umbra dlq list --all` names them")
    if args.doing == "show":
        _print(args, {"letter": _shown(case)})
        return 0
    return await _resolve(args, settings, case)


async def _resolve(args: argparse.Namespace, settings: Settings, case: Case) -> int:
    refused = _refusal(args.doing, case, SYSTEM.now())
    if refused:
        return _stays(args, case, refused)
    if not args.execute:
        cost = "one delivery of the day's allowance" if args.doing == "retry" else "nothing"
        _print(args, {"plan": args.doing, "letter": _shown(case), "cost": cost, "do_it": "--execute"})
        return 0
    try:
        done = await (_retry(args, case) if args.doing == "retry" else _drop(args, settings, case))
    except (Unresolved, Abandoned, SalesforceError) as error:
        return _stays(args, case, str(error))
    _print(args, done)
    return 0


def _refusal(doing: str, case: Case, now: datetime) -> str | None:
    """Why it cannot be done at all."""
    if case.state != "open":
        return f"it is {case.state} already"
    if doing == "retry" and case.letter.stage != "decode":
        return "it is a record of the log, not of the stream: a replay reads it again"
    if doing == "retry" and now - case.letter.seen_at > letters.KEPT:
        return "Salesforce keeps events for 72 hours: a delta or a full read has to close its hole"
    return None


async def _retry(args: argparse.Namespace, case: Case) -> dict[str, Any]:
    settings = load(RetrySettings, args.environ)
    mapping = mappings.load(settings.mapping_file)
    async with _pubsub(settings) as pubsub:
        delivery = await letters.fetch(pubsub, case.letter)
        said = await letters.decoded(pubsub, mapping, case.letter, delivery)
    retried = await letters.write(settings.kafka, SYSTEM, case, said)
    return {"retried": case.id, "deliveries": 1, **asdict(retried)}


async def _drop(args: argparse.Namespace, settings: Settings, case: Case) -> dict[str, Any]:
    await letters.drop(settings.kafka, SYSTEM, case, args.reason)
    return {"dropped": case.id, "reason": args.reason}


@asynccontextmanager
async def _pubsub(settings: RetrySettings) -> AsyncIterator[PubSub]:
    cache = valkey.client(settings.valkey)
    try:
        async with (
            door.opened(settings.salesforce, cache, metrics.registry()) as salesforce,
            client.opened(settings.salesforce, salesforce.login, OrgClock()) as pubsub,
        ):
            yield pubsub
    finally:
        await cache.aclose()


async def _cases(settings: Settings) -> list[Case]:
    """The topic has all letters that are kept; the table may know older ones of stage apply."""
    stored = await _stored(settings.postgres_dsn)
    return letters.cases([*stored, *await letters.read(settings.kafka)])


async def _stored(dsn: str) -> list[DeadLetter]:
    if not dsn:
        return []
    try:
        connection = await asyncpg.connect(dsn, timeout=_SECONDS, command_timeout=_SECONDS)
        try:
            rows = await connection.fetch(postgres.queries(_QUERIES)["letters_kept"])
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise CommandFailed(f"the dead letters of Postgres cannot be read: {type(error).__name__}") from error
    return [DeadLetter(**row) for row in rows]


def _shown(case: Case) -> dict[str, Any]:
    letter = {k: v for k, v in msgspec.to_builtins(case.letter).items() if v is not None}
    letter["seen_at"] = stamp(case.letter.seen_at)
    return {"id": case.id, "state": case.state, "times": case.times, "said": case.said, **letter}


def _stays(args: argparse.Namespace, case: Case, why: str) -> int:
    if args.json:
        print(json.dumps({"ok": False, "id": case.id, "state": case.state, "error": why}))
    else:
        print(f"{case.id}: {why}")
    return OPEN


def _print_list(args: argparse.Namespace, found: list[Case]) -> None:
    if args.json:
        print(json.dumps({"ok": True, "letters": [_shown(case) for case in found]}))
        return
    for case in found:
        print(f"{case.id}  {case.state}  {case.letter.stage}  {stamp(case.letter.seen_at)}  {case.letter.reason}")
    print(f"{len(found)} letters")


def _print(args: argparse.Namespace, what: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps({"ok": True, **what}))
        return
    for name, value in what.items():
        rows = value.items() if isinstance(value, dict) else [(name, value)]
        for key, text in rows:
            if text is not None:
                print(f"{key:<17} {text}")
