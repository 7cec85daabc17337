"""`umbra coverage`: of which times each object is observed or proven, by what, and of which nothing is known.

Observed: the stream brought every change of that time, if Salesforce lost none silently. Proven: a read has shown it.
Exit codes: 0 printed, whatever it says; 1 Postgres does not answer; 2 an object that is not shadowed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.errors import KafkaError

from schemas import topics, versions
from schemas.events import stamp
from services.ingestor import checkpoints
from services.ingestor.jobs import delta, resume, timetable, window
from services.ingestor.jobs.timetable import Kind, ScheduleSettings
from services.ingestor.transactions import Abandoned
from services.kernel.settings import KafkaSettings, PostgresSettings, at_least, load, setting
from services.ops import ledger
from services.ops.errors import CommandFailed
from services.ops.ledger import Ledger, Open, Range, Span

MOST_SPANS = 5
"""Spans of a basis that a person is shown; --json has all."""
_KAFKA_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    kafka: KafkaSettings
    postgres: PostgresSettings
    schedule: ScheduleSettings
    read_margin_ms: int = setting(
        default=versions.DEFAULT_MARGIN_MS,
        check=at_least(5000),
        doc="M: how far before its own start a read proves, in milliseconds. A greater one is always safe.",
    )


@dataclass(frozen=True, slots=True)
class Next:
    """The next job of the schedule. known: False while the log does not answer; kind: None where nothing is scheduled

    at: its slot, the past for one that is due; since: stamps that a delta reads from, None where a full read has to
    come first
    """

    known: bool
    kind: Kind | None = None
    at: datetime | None = None
    since: datetime | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("objects", nargs="*", metavar="OBJECT", help="for example Product2 (default: all)")


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    unknown = [name for name in args.objects if name not in topics.RECORD_TOPICS]
    if unknown:
        raise CommandFailed(f"not shadowed: {', '.join(unknown)}; shadowed are {', '.join(topics.RECORD_TOPICS)}", 2)
    found = await ledger.read(settings.postgres.dsn, settings.read_margin_ms)
    shown = [found[name] for name in args.objects or found if name in found]
    now = datetime.now(UTC)
    nexts = await asyncio.gather(*(_next(settings, each.object, now) for each in shown))
    if args.json:
        objects = [_document(*pair) for pair in zip(shown, nexts, strict=True)]
        print(json.dumps({"ok": True, "objects": objects}))
    else:
        print("\n".join(line for pair in zip(shown, nexts, strict=True) for line in _lines(*pair, now)))
    return 0


async def _next(settings: Settings, name: str, now: datetime) -> Next:
    """As the owner of the jobs works it out: from the checkpoints of the jobs, and the clock."""
    try:
        async with asyncio.timeout(_KAFKA_SECONDS):
            stored, full = await asyncio.gather(
                *(
                    checkpoints.read(settings.kafka, topics.JOBS_PARTITION, job)
                    for job in (delta.job_name(name), resume.job_name(name))
                )
            )
    except (KafkaError, OSError, TimeoutError, Abandoned):
        return Next(known=False)
    start_ms = window.start_of(stored, full)
    since = None if start_ms is None else versions.moment(start_ms)
    return following(settings.schedule, name, timetable.standing(stored, full), now, since)


def following(
    schedule: ScheduleSettings, name: str, stands: timetable.Standing, now: datetime, since: datetime | None
) -> Next:
    """What is due, else what the next slot asks for. Pure."""
    if not schedule.schedule_enabled:
        return Next(True, since=since)
    begun = timetable.slot(schedule, list(topics.RECORD_TOPICS).index(name), now)
    for at in (begun, begun + timedelta(days=1)):
        kind = timetable.due(schedule, stands, at, at)
        if kind is not None:
            return Next(True, kind, at, since)
    return Next(True, since=since)


# For a person


def _lines(of: Ledger, then: Next, now: datetime) -> Iterator[str]:
    yield of.object
    yield from _ranges("observed", of.observed, now)
    yield from _ranges("proven", of.proven, now)
    shown, more = ledger.newest(of.spans, MOST_SPANS)
    yield from (f"  by        {_by(span)}" for span in shown)
    if more:
        yield f"            and {more} older (--json has all)"
    yield from _holes(of)
    yield f"  next      {_following(then, of.object, now)}"
    yield ""


def _ranges(kind: str, ranges: Sequence[Range], now: datetime) -> Iterator[str]:
    if not ranges:
        yield f"  {kind:<9} never"
    for each in reversed(ranges):
        yield f"  {kind:<9} {_range(each)}, ended {_ago(now - each.until)} ago"


def _range(of: Range) -> str:
    return f"{'since ever' if of.since is None else stamp(of.since)} to {stamp(of.until)}"


def _by(span: Span) -> str:
    if span.basis == "stream":
        where = f"replay ids {span.replay_from or '-'} to {span.replay_to or '-'}"
    else:
        where = f"job {span.job_id or '-'}"
    return f"{span.basis:<7} {_range(span.range)}  {where}"


def _holes(of: Ledger) -> Iterator[str]:
    if not of.holes:
        yield "  holes     none"
    for hole in of.holes:
        yield f"  hole      {hole.id}"
        since = "since ever" if hole.since is None else stamp(hole.since)
        until = "nobody knows when" if hole.until is None else stamp(hole.until)
        yield f"            {since} to {until}, {_ago_seconds(hole.age_seconds)} old: {hole.why} ({hole.reason})"
        yield f"            closed by {_closing(hole, of.object)}"


def _closing(hole: Open, name: str) -> str:
    begun = "" if hole.begun_after is None else f" begun at {stamp(hole.begun_after)} or later"
    if hole.closed_by == "delta":
        return f"a delta{begun} (umbra delta --object {name} --execute), or a full read"
    return f"a full read{begun} (umbra backfill --object {name} --execute)"


def _following(then: Next, name: str, now: datetime) -> str:
    if not then.known:
        return "not known, the log does not answer"
    at = then.at
    when = "" if at is None else " due now" if at <= now else f" at {stamp(at)}"
    if then.since is None:
        return f"full read{when}: a delta needs one before it (umbra backfill --object {name} --execute)"
    unscheduled = ", but nothing is scheduled" if then.kind is None else ""
    since = "" if then.kind == "full" else f" of what was stamped since {stamp(then.since)}"
    what = "full read" if then.kind == "full" else "delta"
    return f"{what}{when}{since}{unscheduled} (umbra delta --object {name} --execute reads now)"


def _ago(span: timedelta) -> str:
    return _ago_seconds(span.total_seconds())


def _ago_seconds(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


# For a program


def _document(of: Ledger, then: Next) -> dict[str, Any]:
    return {
        "object": of.object,
        "observedUntil": _time(of.observed_until),
        "provenUntil": _time(of.proven_until),
        "fullReadUntil": _time(of.full_read_until),
        "observed": [_range_document(each) for each in of.observed],
        "proven": [_range_document(each) for each in of.proven],
        "by": [_span_document(span) for span in of.spans],
        "holes": [_hole_document(hole) for hole in of.holes],
        "next": {
            "known": then.known,
            "kind": then.kind,
            "at": _time(then.at),
            "since": _time(then.since),
        },
    }


def _range_document(of: Range) -> dict[str, str | None]:
    return {"from": _time(of.since), "until": _time(of.until)}


def _span_document(of: Span) -> dict[str, str | None]:
    jobs = {"job": of.job_id} if of.job_id else {}
    replays = {"replayFrom": of.replay_from, "replayTo": of.replay_to} if of.basis == "stream" else {}
    return {"basis": of.basis, **_range_document(of.range), **jobs, **replays}


def _hole_document(of: Open) -> dict[str, Any]:
    return {
        "id": of.id,
        "kind": of.kind,
        "from": _time(of.since),
        "until": _time(of.until),
        "reason": of.reason,
        "ageSeconds": round(of.age_seconds, 3),
        "closedBy": of.closed_by,
        "begunAfter": _time(of.begun_after),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)
