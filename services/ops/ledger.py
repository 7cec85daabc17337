"""The coverage ledger as a person asks for it: of which times an object is observed or proven, and by what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import asyncpg

from schemas import versions
from services.ingestor.jobs import window
from services.ingestor.jobs.holes import Hole
from services.kernel import postgres
from services.ops.errors import CommandFailed

_QUERIES = Path(__file__).with_name("ledger.sql")
_SECONDS = 10.0

Kind = Literal["observed", "proven"]
_WHY = {
    "first": "the stream began here, and of what came before it only a full read can tell",
    "replay": "Salesforce no longer knew where the stream stood",
    "undecodable": "an event could not be decoded",
    "overflow": "a transaction changed more than Salesforce tells one by one",
    "letter": "a record of the log could not be used",
    "wildcard": "Salesforce did not say which records were changed",
}
"""By the kind of a hole, which begins its id."""


@dataclass(frozen=True, slots=True)
class Range:
    """since: None for since ever"""

    since: datetime | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """What covers a range: a stream from position to position, or a job."""

    basis: str
    range: Range
    job_id: str | None
    replay_from: str | None
    replay_to: str | None


@dataclass(frozen=True, slots=True)
class Open:
    """A hole. closed_by: the least that closes it; begun_after: the earliest start, by the org's clock, that does."""

    id: str
    kind: str
    since: datetime | None
    until: datetime | None
    reason: str
    age_seconds: float
    closed_by: Literal["delta", "full"]
    begun_after: datetime | None

    @property
    def why(self) -> str:
        return _WHY.get(self.kind, self.reason)


@dataclass(slots=True)
class Ledger:
    """One object. The until times are as `umbra status` shows them: without a gap, on every partition."""

    object: str
    observed_until: datetime | None
    proven_until: datetime | None
    full_read_until: datetime | None
    observed: list[Range] = field(default_factory=list)
    proven: list[Range] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    holes: list[Open] = field(default_factory=list)


async def read(dsn: str, margin_ms: int) -> dict[str, Ledger]:
    """By object, in one snapshot. Raises CommandFailed."""
    try:
        async with asyncio.timeout(_SECONDS):
            connection = await asyncpg.connect(dsn)
            try:
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    return await _read(connection, margin_ms)
            finally:
                await connection.close()
    except asyncpg.UndefinedTableError as error:
        raise CommandFailed("the tables are older than this program: run `umbra migrate`") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CommandFailed(f"Postgres does not answer: {type(error).__name__}") from error


async def _read(connection: asyncpg.Connection, margin_ms: int) -> dict[str, Ledger]:
    sql = postgres.queries(_QUERIES)
    made = {row["object"]: Ledger(*row) for row in await connection.fetch(sql["objects"])}
    for row in await connection.fetch(sql["ranges"]):
        ledger = made[row["object"]]
        ranges = ledger.observed if row["kind"] == "observed" else ledger.proven
        ranges.append(Range(row["covered_from"], row["covered_until"]))
    for row in await connection.fetch(sql["spans"]):
        covered = Range(row["covered_from"], row["covered_until"])
        made[row["object"]].spans.append(
            Span(row["basis"], covered, row["job_id"], row["replay_from"], row["replay_to"])
        )
    for row in await connection.fetch(sql["holes"]):
        if row["object"] in made:
            made[row["object"]].holes.append(_open(row, margin_ms))
    return made


def _open(row: asyncpg.Record, margin_ms: int) -> Open:
    since, until = row["hole_from"], row["hole_to"]
    by: Literal["delta", "full"] = "delta" if window.fitting(Hole(row["hole_id"], until, since)) else "full"
    after = None if until is None else _provable(row["kind"], until, margin_ms)
    return Open(row["hole_id"], row["kind"], since, until, row["reason"] or "", row["age"], by, after)


def _provable(kind: str, until: datetime, margin_ms: int) -> datetime:
    """Before a first start nothing was delivered that could be newer than a read, so it only has to begin later."""
    return until if kind == "first" else versions.moment(versions.proves(versions.millis(until), margin_ms))


def newest(spans: Iterable[Span], most: int) -> tuple[list[Span], int]:
    """The newest few of each basis, and how many more there are."""
    shown: list[Span] = []
    more = 0
    for span in spans:
        if sum(known.basis == span.basis for known in shown) < most:
            shown.append(span)
        else:
            more += 1
    return shown, more
