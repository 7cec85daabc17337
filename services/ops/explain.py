"""`umbra explain ID [TRACE]`: all that the log holds of one record, what wrote each of its fields, and why it is dirty
or not shown; its row and its cache tags. An answer's `Umbra-Trace` may stand beside the id, or in place of it.

Reads one partition of the log, Postgres and nothing else; the log away, it says what Postgres knows.
Exit codes: 0 explained, 1 nothing is known of it, or Postgres is away, 2 no id of a shadowed object and no trace.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from schemas import ids, topics, versions
from schemas import mapping as mappings
from schemas.events import OrderStatus, RecordChange, Watermark, stamp
from schemas.mapping import Mapping, ObjectMapping
from services.kernel import postgres
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings, PostgresSettings, load, setting
from services.ops import explanation, kept, past
from services.ops.errors import CommandFailed
from services.ops.explanation import Stored, Written
from services.ops.past import Past
from services.projector.batch import Decoded
from services.projector.log import Place

BAD_ID = 2
PREFIXES = {"01t": "Product2", "01u": "PricebookEntry", "001": "Account", "801": "Order"}
_TRACE = re.compile(r"(?P<topic>[\w.-]+):(?P<partition>\d+):(?P<offset>\d+)")
_AGO = re.compile(r"(\d+)([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_QUERIES = Path(__file__).with_name("explain.sql")
_TAGGED = {"Product2": "product", "PricebookEntry": "entry", "Order": "order"}
_WIDEST = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    kafka: KafkaSettings
    postgres: PostgresSettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")


@dataclass(frozen=True, slots=True)
class Trace:
    place: Place
    offset: int

    def __str__(self) -> str:
        return explanation.coordinates(self.place, self.offset)


@dataclass(frozen=True, slots=True)
class Explained:
    """pasts: None where the log does not answer, which `away` says; untold: seconds by tag"""

    mapping: ObjectMapping
    record_id: str
    stored: Stored
    pasts: Sequence[Past] | None
    away: str | None
    tags: Sequence[str]
    untold: dict[str, float]
    trace: Trace | None

    @property
    def fields(self) -> list[Written]:
        state = self.stored.held.state
        return [] if state is None else list(explanation.written(state, self.pasts or ()))

    @property
    def known(self) -> bool:
        return self.stored.held.state is not None or any(each.events for each in self.pasts or ())

    def in_answer(self, each: Decoded) -> bool | None:
        """Whether the answer that the trace came with may hold an event; None where nothing says."""
        if self.trace is None or each.record.place != self.trace.place:
            return None
        return each.record.offset <= self.trace.offset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="ID|TRACE", help="for example 01t…, or topic:partition:offset")
    parser.add_argument("trace", nargs="?", metavar="TRACE", help="of an answer about it: which events it may hold")
    parser.add_argument("--since", metavar="TIME", help="read the log from then on: 90m, 36h, 7d, or a UTC time")
    parser.add_argument("--limit", type=int, default=50, help="newest events that are shown (default: 50)")


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    fields = mappings.load(settings.mapping_file)
    trace, since = _trace(args.trace), _since(args.since, SYSTEM.now())
    at = _trace(args.what) if ":" in args.what else None
    record_id, trace = (_id(args.what), trace) if at is None else (await _traced(args, settings, fields, at), at)
    if record_id is None:
        return 0
    found = await _explain(settings, fields, record_id, trace, since, args.limit)
    print(json.dumps(_document(found), default=_plain) if args.json else "\n".join(_lines(found)))
    return 0 if found.known else 1


def _id(text: str) -> str:
    try:
        record_id = ids.parse(text)
    except ValueError as error:
        raise CommandFailed(str(error), BAD_ID) from error
    if record_id[:3] not in PREFIXES:
        known = ", ".join(f"{prefix} {name}" for prefix, name in PREFIXES.items())
        raise CommandFailed(f"{record_id} is no record of a shadowed object; those begin with {known}", BAD_ID)
    return record_id


def _trace(text: str | None) -> Trace | None:
    if text is None:
        return None
    parts = _TRACE.fullmatch(text)
    topic = None if parts is None else topics.BY_NAME.get(parts["topic"])
    if parts is None or topic is None or int(parts["partition"]) >= topic.partitions:
        raise CommandFailed(f"{text!r} is no topic:partition:offset of this log", BAD_ID)
    return Trace(Place(topic.name, int(parts["partition"])), int(parts["offset"]))


def _since(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandFailed(f"{text!r} is no time: 90m, 36h, 7d, or 2026-11-02T03:04:05Z", BAD_ID) from error
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


async def _traced(args: argparse.Namespace, settings: Settings, fields: Mapping, at: Trace) -> str | None:
    """Which record an offset of the log is about; None, and said so, where it is about none."""
    async with past.opened(settings.kafka, fields) as log:
        found = await log.one(at.place, at.offset)
    if found is None:
        raise CommandFailed(f"no record lies at {at}: a transaction's marker, aborted, or no longer kept")
    match found.event:
        case RecordChange(record_id=record_id) | OrderStatus(order_id=record_id):
            return record_id
        case Watermark() as mark:
            _print_mark(args, at, mark)
            return None
        case _:
            raise CommandFailed(f"the record at {at} cannot be used: {found.fault}")


def _print_mark(args: argparse.Namespace, at: Trace, mark: Watermark) -> None:
    until = None if mark.covered_until is None else stamp(mark.covered_until)
    if args.json:
        about = {"object": mark.object, "basis": mark.basis, "phase": mark.phase, "covered_until": until}
        print(json.dumps({"ok": True, "trace": str(at), "watermark": about}))
        return
    print(f"{at} is a watermark of {mark.object} ({mark.basis}, covered until {until or '-'}): about no record.")
    print("Of an answer it says up to where its row was applied: give the record's id before it.")


async def _explain(
    settings: Settings, fields: Mapping, record_id: str, trace: Trace | None, since: datetime | None, most: int
) -> Explained:
    mapping = fields.objects[PREFIXES[record_id[:3]]]
    pasts, away = await _pasts(settings, fields, mapping, record_id, since, most)
    try:
        async with postgres.pool(settings.postgres, least=0, most=2) as pool:
            stored = await _stored(pool, mapping, record_id, pasts)
            named = explanation.tags_of(mapping, record_id, stored)
            untold = await pool.fetch(postgres.queries(_QUERIES)["untold"], named)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandFailed(f"Postgres does not answer: {type(error).__name__}") from error
    waiting = {row["tag"]: row["seconds"] for row in untold}
    return Explained(mapping, record_id, stored, pasts, away, named, waiting, trace)


async def _pasts(
    settings: Settings, fields: Mapping, mapping: ObjectMapping, record_id: str, since: datetime | None, most: int
) -> tuple[list[Past] | None, str | None]:
    of = [topics.RECORD_TOPICS[mapping.name], *([topics.ORDER_STATUS] if mapping.name == "Order" else [])]
    try:
        async with past.opened(settings.kafka, fields) as log:
            return [await log.of(topic, record_id, since, most) for topic in of], None
    except CommandFailed as error:
        return None, str(error)


async def _stored(pool: Any, mapping: ObjectMapping, record_id: str, pasts: Sequence[Past] | None) -> Stored:
    sql = postgres.queries(_QUERIES)
    places = [each.place for each in pasts or ()]
    of, partitions = [each.topic for each in places], [each.partition for each in places]
    tagged = _TAGGED.get(mapping.name)
    row = None if tagged is None else await pool.fetchrow(sql[tagged], record_id)
    applied = await pool.fetch(sql["applied"], of)
    letters = await pool.fetch(sql["letters"], of, partitions)
    return Stored(
        held=await kept.held(pool, mapping, record_id),
        since=await pool.fetchval(sql["since"], mapping.name, record_id),
        tagged={} if row is None else dict(row),
        applied={Place(each[0], each[1]): each[2] for each in applied},
        letters={(Place(each[0], each[1]), each[2]): each[3] for each in letters},
        status_version=await pool.fetchval(sql["status"], record_id) if mapping.name == "Order" else None,
    )


# For a person


def _lines(found: Explained) -> Iterator[str]:
    held, state = found.stored.held, found.stored.held.state
    yield f"{found.mapping.name} {found.record_id}: {explanation.shown(found.stored)}"
    if held.row is not None:
        values = ", ".join(f"{name} {_short(value)}" for name, value in held.row.items() if value is not None)
        yield f"  row     {found.mapping.table}: {values}"
    yield f"  dirty   {explanation.dirt(state) or 'no'}"
    for each in found.fields:
        yield f"  field   {each.name} = {_short(each.value)}: {explanation.meaning(each.version)}"
        yield f"          {', '.join(each.by) or 'written by what the log does not hold here'}"
    yield from _log_lines(found)
    for tag in found.tags:
        waits = "" if tag not in found.untold else f", waits to be told for {found.untold[tag]:.1f} s"
        yield f"  tag     {tag}{waits}"


def _log_lines(found: Explained) -> Iterator[str]:
    if found.pasts is None:
        yield f"  log     not read: {found.away}"
    for each in found.pasts or ():
        older = f", {each.dropped} older ones not shown" if each.dropped else ""
        looked = f"{each.records:,} records from offset {each.begin} to {each.end}"
        yield f"  log     {each.place.topic}/{each.place.partition}: {len(each.events)} of {looked}{older}"
        for event in each.events:
            yield f"  {_event_line(found, event)}"


def _event_line(found: Explained, each: Decoded) -> str:
    at = stamp(versions.moment(each.record.timestamp_ms))
    holds = found.in_answer(each)
    mark = "" if holds is None else ("; in the answer" if holds else "; after the answer")
    names = ", ".join(explanation.fields_of(each))
    return f"{each.record.offset:>9}  {at}  {_kind(each)}  {names}: {explanation.fate(each, found.stored)}{mark}"


def _kind(each: Decoded) -> str:
    match each.event:
        case RecordChange() as change:
            return f"{change.kind} ({change.origin})"
        case OrderStatus() as status:
            return f"status {status.kind} by {status.source}"
        case _:
            return "unreadable"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


# For a program


def _document(found: Explained) -> dict[str, Any]:
    held = found.stored.held
    return {
        "ok": True,
        "known": found.known,
        "id": found.record_id,
        "object": found.mapping.name,
        "trace": None if found.trace is None else str(found.trace),
        "shown": held.row is not None,
        "why": explanation.shown(found.stored),
        "hidden": None if held.hidden is None else {"reason": held.hidden.reason, "detail": held.hidden.detail},
        "dirty": explanation.dirt(held.state),
        "row": held.row,
        "fields": [
            {"name": e.name, "value": e.value, "version": e.version, "meaning": explanation.meaning(e.version)}
            | {"by": e.by}
            for e in found.fields
        ],
        "log_away": found.away,
        "log": None if found.pasts is None else [_past_document(found, each) for each in found.pasts],
        "tags": [{"tag": tag, "untold_seconds": found.untold.get(tag)} for tag in found.tags],
    }


def _past_document(found: Explained, each: Past) -> dict[str, Any]:
    place = {"topic": each.place.topic, "partition": each.place.partition, "begin": each.begin, "end": each.end}
    events = [_event_document(found, event) for event in each.events]
    return {**place, "records": each.records, "older_events": each.dropped, "events": events}


def _event_document(found: Explained, each: Decoded) -> dict[str, Any]:
    event = each.event
    made: dict[str, Any] = {"offset": each.record.offset, "written_at": versions.moment(each.record.timestamp_ms)}
    made |= {"kind": _kind(each), "fields": explanation.fields_of(each), "fate": explanation.fate(each, found.stored)}
    made |= {"in_answer": found.in_answer(each)}
    if isinstance(event, RecordChange):
        made |= {"version": event.version, "replay_id": event.replay_id, "job_id": event.job_id}
        made |= {"transaction_key": event.transaction_key, "commit_number": event.commit_number}
    elif isinstance(event, OrderStatus):
        made |= {"version": event.version, "event_id": event.id}
    return made


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)
