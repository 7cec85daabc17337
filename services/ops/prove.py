"""`umbra prove ID`: one record in Umbra beside the same record in the org, field by field, for one call.

Compared are the state, the row that is served, and the answers about it in the shared cache. What differs says why.
Exit codes: 0 all agree, 1 something differs, or could not be compared, 2 no id of a shadowed object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry

from schemas import ids, versions
from schemas import mapping as mappings
from schemas.events import stamp
from schemas.mapping import ObjectMapping
from services.kernel import postgres, valkey
from services.kernel.settings import KafkaSettings, PostgresSettings, ValkeySettings, at_least, load, setting
from services.kernel.valkey import AWAY
from services.ops import kept as keeping
from services.ops import ledger, proof
from services.ops.errors import CommandFailed
from services.ops.proof import Case, Kept, Line, Told
from services.salesforce import canonical, changes, door, soql
from services.salesforce.calls import CallClass, within
from services.salesforce.door import Door
from services.salesforce.errors import SalesforceError
from services.salesforce.settings import SalesforceSettings

BAD_ID = 2
_CALL_SECONDS = 30.0
_PREFIXES = {"01t": "Product2", "01u": "PricebookEntry", "001": "Account", "801": "Order"}
_LOGIN = "login"
_WIDEST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    kafka: KafkaSettings
    postgres: PostgresSettings
    valkey: ValkeySettings
    salesforce: SalesforceSettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")
    pricebook: str = setting(default="", doc="Id or name of the price book that is sold from, as the gateway has it.")
    read_margin_ms: int = setting(
        default=versions.DEFAULT_MARGIN_MS,
        check=at_least(5000),
        doc="M: how far before its own start a read proves, in milliseconds. A greater one is always safe.",
    )


@dataclass(frozen=True, slots=True)
class Cost:
    """What was sent to Salesforce: calls of the daily allowance, and logins, which cost none of it."""

    calls: int
    logins: int


@dataclass(frozen=True, slots=True)
class Proof:
    """lines: all that was compared; answers: how many the cache keeps, None where it does not answer"""

    case: Case
    lines: Sequence[Line]
    answers: int | None
    cost: Cost

    @property
    def equal(self) -> bool:
        return self.answers is not None and all(line.agrees for line in self.lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="18 characters, for example 01t…; 15 are extended")
    parser.add_argument("--all", action="store_true", help="show what agrees, too")


async def run(args: argparse.Namespace) -> int:
    record_id = _id(args.id)
    settings = load(Settings, args.environ)
    found = await _proof(settings, record_id)
    print(json.dumps(_document(found), default=_plain) if args.json else "\n".join(_lines(found, everything=args.all)))
    return 0 if found.equal else 1


def _id(text: str) -> str:
    try:
        record_id = ids.parse(text)
    except ValueError as error:
        raise CommandFailed(str(error), BAD_ID) from error
    if record_id[:3] not in _PREFIXES:
        known = ", ".join(f"{prefix} {name}" for prefix, name in _PREFIXES.items())
        raise CommandFailed(f"{record_id} is no record of a shadowed object; those begin with {known}", BAD_ID)
    return record_id


async def _proof(settings: Settings, record_id: str) -> Proof:
    fields = mappings.load(settings.mapping_file)
    mapping = fields.objects[_PREFIXES[record_id[:3]]]
    registry, redis = CollectorRegistry(), valkey.client(settings.valkey)
    try:
        async with _postgres(settings) as pool, door.opened(settings.salesforce, redis, registry) as salesforce:
            told = await _told(salesforce, mapping, record_id, settings.read_margin_ms)
            held = await keeping.held(pool, mapping, record_id)
            covered = await ledger.read(settings.postgres.dsn, settings.read_margin_ms)
            case = Case(mapping, record_id, told, held, covered.get(mapping.name), settings.read_margin_ms)
            kept = await _kept(settings, fields, mapping, record_id, pool, redis, salesforce)
            lines = [*case.lines(), *proof.cached(kept or [])]
            return Proof(case, lines, None if kept is None else keeping.compared(kept), _cost(registry))
    finally:
        await redis.aclose()


@asynccontextmanager
async def _postgres(settings: Settings) -> AsyncIterator[Any]:
    try:
        async with postgres.pool(settings.postgres, least=0, most=2) as pool:
            yield pool
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandFailed(f"Postgres does not answer: {type(error).__name__}") from error


async def _told(salesforce: Door, mapping: ObjectMapping, record_id: str, margin_ms: int) -> Told:
    """The one call: deleted records too, which tells "deleted" from "never was"."""
    query = soql.select(mapping.select, mapping.name, f"Id = {soql.literal(record_id)}")
    try:
        read = await salesforce.rest.query_all(query, call_class=CallClass.INTERACTIVE, deadline=within(_CALL_SECONDS))
        if not read.records:
            return Told(None, read.r0_ms)
        record = canonical.from_rest(mapping, read.records[0])
    except (SalesforceError, ValueError) as error:
        raise CommandFailed(f"the org does not tell: {type(error).__name__}: {error}") from error
    change = changes.snapshot(mapping, record, r0_ms=read.r0_ms, origin="live", margin_ms=margin_ms)
    return Told(change, read.r0_ms)


async def _kept(
    settings: Settings, fields: Any, mapping: ObjectMapping, record_id: str, pool: Any, redis: Any, salesforce: Door
) -> list[Kept] | None:
    try:
        cache = await keeping.cache(
            pool=pool,
            redis=redis,
            rest=salesforce.rest,
            kafka=settings.kafka,
            mapping=fields,
            mapping_file=settings.mapping_file,
            pricebook=settings.pricebook,
            org=settings.salesforce.salesforce_login_url,
        )
        return await cache.kept(mapping.name, record_id)
    except AWAY:
        return None


def _cost(registry: CollectorRegistry) -> Cost:
    """As the door counted them: every try."""
    sent: dict[bool, int] = {True: 0, False: 0}
    for family in registry.collect():
        for sample in family.samples:
            if sample.name == "salesforce_requests_total":
                sent[sample.labels["route"] == _LOGIN] += int(sample.value)
    return Cost(calls=sent[False], logins=sent[True])


# For a person


def _lines(found: Proof, *, everything: bool) -> Iterator[str]:
    case = found.case
    yield f"{case.mapping.name} {case.record_id}: {'equal' if found.equal else 'DIFFERENT'}"
    yield f"  org    {_org(case.told)}"
    for place, what in (("state", "fields"), ("row", "columns"), ("cache", "values")):
        yield from _place(found, place, what, everything=everything)
    if case.held.hidden is not None:
        yield f"  note   kept and not shown: {case.held.hidden.reason} ({case.held.hidden.detail or '-'})"
    if case.ledger is not None:
        observed, proven = (_when(at) for at in (case.ledger.observed_until, case.ledger.proven_until))
        yield f"  cover  observed until {observed}, proven until {proven}, {len(case.ledger.holes)} open holes"
    logins = f", and {found.cost.logins} login, which costs none" if found.cost.logins else ""
    yield f"  cost   {found.cost.calls} API call{logins}"


def _org(told: Told) -> str:
    read = f"read at {stamp(versions.moment(told.r0_ms))}"
    if told.record is None:
        return f"has no such record, {read}"
    changed = "" if told.stamped_ms is None else f", last changed at {stamp(versions.moment(told.stamped_ms))}"
    return f"{'deleted, ' if told.fields['IsDeleted'] else ''}{read}{changed}"


def _place(found: Proof, place: str, what: str, *, everything: bool) -> Iterator[str]:
    lines = [line for line in found.lines if line.place == place]
    if place == "cache" and found.answers is None:
        yield "  cache  not compared: Valkey does not answer"
        return
    agreeing = sum(line.agrees for line in lines)
    kept = f" of {found.answers} answers" if place == "cache" else ""
    yield f"  {place:<6} {agreeing} {what} agree{kept}, {len(lines) - agreeing} differ"
    for line in lines:
        if line.why is not None:
            yield f"    {line.field}: {_short(line.here)}, should be {_short(line.there)}: {line.why}"
        elif everything:
            yield f"    {line.field}: {_short(line.here)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _when(moment: datetime | None) -> str:
    return "never" if moment is None else stamp(moment)


# For a program


def _document(found: Proof) -> dict[str, Any]:
    case, told = found.case, found.case.told
    hidden, covered = case.held.hidden, case.ledger
    return {
        "ok": True,
        "equal": found.equal,
        "id": case.record_id,
        "object": case.mapping.name,
        "org": {
            "found": told.record is not None,
            "readBeganAt": versions.moment(told.r0_ms),
            "changedAt": None if told.stamped_ms is None else versions.moment(told.stamped_ms),
        },
        "compared": [
            {"place": line.place, "field": line.field, "agrees": line.agrees, "here": line.here, "there": line.there}
            | ({} if line.why is None else {"why": line.why})
            for line in found.lines
        ],
        "cachedAnswers": found.answers,
        "hidden": None if hidden is None else {"reason": hidden.reason, "detail": hidden.detail},
        "coverage": None
        if covered is None
        else {
            "observedUntil": covered.observed_until,
            "provenUntil": covered.proven_until,
            "openHoles": [hole.id for hole in covered.holes],
        },
        "cost": {"calls": found.cost.calls, "logins": found.cost.logins},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)
