"""The org against the shadow: counts, then counts and newest stamps of ranges of ids, then the rows where they differ.

Ranges of ids, because the id is the one field that SOQL filters by its primary index for every object, that never
changes, and that the shadow is keyed by: no other field is in both. They are cut where the shadow's ids lie, so they
are of one size however the org gave its ids out. SOQL cannot group by them; five ranges are asked for in one call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import asyncpg
import msgspec

from schemas import topics, versions
from schemas.events import RecordChange
from schemas.mapping import ObjectMapping
from services.ingestor import outgoing, transactions
from services.ingestor.jobs import compare, confirming, copying, known, lives
from services.ingestor.jobs.compare import HIGHEST, Difference, Known, Range, Sum
from services.ingestor.jobs.means import Means, Why
from services.kernel import postgres
from services.kernel.errors import Retryable
from services.salesforce import soql
from services.salesforce.calls import CallClass, within
from services.salesforce.errors import LimitExceeded, SalesforceError
from services.salesforce.rest import MOST_IDS, SubRequest

CLASS = CallClass.REPAIR
LEAF = 2_000
"""Rows of a range that are read one by one when it differs: one page of REST."""
FEW = 10_000
"""Up to so many rows all are read, in no more calls than their ranges would take."""
MOST_ROWS = 50_000
"""Rows read one by one before a full read is the cheaper way."""
_PARTS = 25
"""Ranges into which one that differs is cut."""
_TOGETHER = 5
"""Queries in one composite call (REST guide, "Composite": at most five may be queries)."""
_LISTED = 100
_CALL_SECONDS = 120.0
_QUERIES = Path(__file__).with_name("verify.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found of one object. differences: the first hundred; young: differ, and were touched just now

    org, shadow: records alive; ranges: asked for; rows: compared one by one; calls: made, pages of queries aside
    token: goes on from there when PARTIAL
    """

    object: str
    state: Literal["COMPLETE", "PARTIAL"]
    org: int = 0
    shadow: int = 0
    ranges: int = 0
    rows: int = 0
    calls: int = 0
    differing: int = 0
    young: int = 0
    repaired: int = 0
    differences: tuple[Difference, ...] = ()
    why: Why | None = None
    reason: str | None = None
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """rows: compare every row; repair: write what differs through the log; start: id from which to go on
    few: up to so many rows all are compared in any case
    """

    rows: bool = False
    repair: bool = False
    few: int = FEW
    most_rows: int = MOST_ROWS
    start: str = compare.LOWEST


@dataclass(frozen=True, slots=True)
class Planned:
    """calls: where nothing differs, and where everything does."""

    object: str
    shadow: int
    least_calls: int
    most_calls: int


class TooMuch(SalesforceError):
    """So much differs that a full read costs less than looking at it."""


async def run(means: Means, mapping: ObjectMapping, wish: Wish) -> Report:
    """Never raises what Salesforce, Postgres or the log do: PARTIAL says how far it came."""
    async with _opened(means.dsn, mapping.name) as shadow:
        return await Verification(means, mapping, shadow, wish).run()


async def planned(means: Means, mapping: ObjectMapping, wish: Wish) -> Planned:
    """No call."""
    async with _opened(means.dsn, mapping.name) as shadow:
        alive = (await shadow.sum(Range(wish.start))).alive
    pages = -(-min(alive, wish.most_rows) // LEAF)
    ranges = min(_PARTS, max(1, -(-alive // LEAF)))
    screen = 1 + -(-ranges // _TOGETHER)
    if wish.rows or alive <= wish.few:
        return Planned(mapping.name, alive, pages + 1, pages + 2)
    return Planned(mapping.name, alive, screen, screen + 2 * pages + 1)


class Shadow:
    """The shadow's side, over one connection."""

    def __init__(self, connection: asyncpg.Connection, object_name: str) -> None:
        self._connection = connection
        self._object = object_name
        self._queries = postgres.queries(_QUERIES)

    async def sum(self, of: Range) -> Sum:
        row = await self._connection.fetchrow(self._queries["summary"], self._object, of.low, of.high)
        newest = row["newest"]
        return Sum(row["alive"], None if newest is None else int(newest))

    async def parts(self, of: Range, size: int) -> list[Range]:
        rows = await self._connection.fetch(self._queries["bounds"], self._object, of.low, of.high, size)
        return compare.split(of, [row["record_id"] for row in rows])

    async def states(self, of: Range) -> dict[str, Known]:
        rows = await self._connection.fetch(self._queries["states"], self._object, of.low, of.high)
        return {row["record_id"]: Known(msgspec.json.decode(row["payload"]), row["newest"]) for row in rows}


@asynccontextmanager
async def _opened(dsn: str, object_name: str) -> AsyncIterator[Shadow]:
    """Raises Retryable where Postgres is away."""
    try:
        connection = await asyncpg.connect(dsn, timeout=5.0, command_timeout=_CALL_SECONDS)
        try:
            yield Shadow(connection, object_name)
        finally:
            await connection.close()
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Retryable(f"the shadow cannot be read: {type(error).__name__}") from error


class Verification:
    """One look at one object."""

    def __init__(self, means: Means, mapping: ObjectMapping, shadow: Shadow, wish: Wish) -> None:
        self._means = means
        self._mapping = mapping
        self._object = mapping.name
        self._shadow = shadow
        self._wish = wish
        self._counts = dict.fromkeys(("org", "shadow", "ranges", "rows", "calls", "differing", "young", "repaired"), 0)
        self._found: list[Difference] = []
        self._at = wish.start
        self._by_rows = wish.rows

    async def run(self) -> Report:
        """Depth first in the order of the ids, so that what lies below where it stopped is done."""
        try:
            await self._whole(Range(self._wish.start))
        except ValueError as error:  # a field that does not fit the mapping; the sentence without the value
            return self._report("mapping", str(error).partition(": ")[0])
        except SalesforceError as error:
            why = "limit" if isinstance(error, TooMuch | LimitExceeded) else lives.why_of(error)
            return self._report(why, f"{type(error).__name__}: {error}")
        except transactions.Abandoned as error:
            return self._report("log", str(error))
        return self._report(None, None)

    def _report(self, why: Why | None, reason: str | None) -> Report:
        return Report(
            object=self._object,
            state="COMPLETE" if why is None else "PARTIAL",
            differences=tuple(self._found),
            why=why,
            reason=reason,
            token=None if why is None else f"verify:{self._object}:{self._at}",
            **self._counts,
        )

    async def _whole(self, of: Range) -> None:
        """Counts of all; ranges are asked for in any case, for a newer change hides an older one that was lost."""
        [org] = await self._org([of])
        shadow = await self._shadow.sum(of)
        self._counts |= {"org": org.alive, "shadow": shadow.alive}
        alive = max(org.alive, shadow.alive)
        self._by_rows = self._wish.rows or alive <= self._wish.few
        if alive > 0:
            await self._parts(of, alive)

    async def _parts(self, of: Range, alive: int) -> None:
        size = LEAF if self._by_rows else max(1, -(-alive // _PARTS))
        parts = await self._shadow.parts(of, size)
        sums = [None] * len(parts) if self._by_rows else await self._org(parts)
        for part, org in zip(parts, sums, strict=True):
            await self._part(part, org, whole=len(parts) == 1)
            self._at = part.high

    async def _part(self, part: Range, org: Sum | None, *, whole: bool) -> None:
        """whole: it could not be cut, for the shadow has nothing in it."""
        if org is not None:
            shadow = await self._shadow.sum(part)
            if compare.alike(org, shadow):
                return
            alive = max(org.alive, shadow.alive)
            if alive > LEAF and not whole:
                await self._parts(part, alive)
                return
            if alive > self._wish.most_rows:
                raise TooMuch(f"{alive} rows lie in one range that differs: read the object in full instead")
        await self._leaf(part)

    async def _org(self, ranges: Sequence[Range]) -> list[Sum]:
        """Five ranges a call."""
        sums: list[Sum] = []
        for begin in range(0, len(ranges), _TOGETHER):
            some = ranges[begin : begin + _TOGETHER]
            asked = [
                SubRequest(method="GET", path=f"query?q={quote(self._sum_query(part))}", reference=f"r{nth}")
                for nth, part in enumerate(some)
            ]
            told = await self._means.rest.composite(asked, call_class=CLASS, deadline=within(_CALL_SECONDS))
            self._counts["calls"] += 1
            self._counts["ranges"] += len(some)
            sums += [_sum(told.results[f"r{nth}"].body) for nth in range(len(some))]
        return sums

    def _sum_query(self, of: Range) -> str:
        return soql.select(("COUNT(Id) n", "MAX(SystemModstamp) newest"), self._object, _where(of))

    async def _leaf(self, of: Range) -> None:
        """Row by row. Raises TooMuch."""
        query = copying.select_rows(self._mapping, _where(of))
        read = await self._means.rest.query_all(query, call_class=CLASS, deadline=within(_CALL_SECONDS))
        if len(read.records) != read.total:
            raise lives.Mismatch(f"the read tells of {read.total} records and has {len(read.records)}")
        self._counts["calls"] += 1
        self._counts["rows"] += len(read.records)
        found = confirming.snapshots(self._means, self._mapping, read, origin="repair")
        org = {change.record_id: change for change in found}
        shadow = await self._shadow.states(of)
        cut_ms = read.r0_ms - self._means.margin_ms
        differ = list(compare.differences(org, shadow, cut_ms))
        told = [each for each in differ if each is not None]
        self._counts["young"] += len(differ) - len(told)
        self._counts["differing"] += len(told)
        self._found += told[: _LISTED - len(self._found)]
        if self._wish.repair and told:
            await self._repair(told, org)
        if self._counts["rows"] > self._wish.most_rows:
            raise TooMuch(f"more than {self._wish.most_rows} rows lie where something differs: read it in full instead")

    async def _repair(self, told: Sequence[Difference], org: Mapping[str, RecordChange]) -> None:
        """Through the log; what the range did not show is asked for by its id before it is called absent."""
        unseen = [each.record_id for each in told if each.record_id not in org]
        self._counts["calls"] += -(-len(unseen) // MOST_IDS)
        asked = confirming.by_id(self._means, self._mapping, unseen, call_class=CLASS, origin="repair")
        found = [org[each.record_id] for each in told if each.record_id in org] + [each async for each in asked]
        lost = await known.lost(self._means, self._object, [each for each in found if each.kind == "snapshot"])
        now = self._means.clock.now()
        records = [
            *(outgoing.change(each, now) for each in found),
            *(outgoing.status(each, now) for each in lost),
        ]
        name = transactions.id_of(f"verify:{self._object}")
        async with transactions.opened(self._means.kafka, name) as held:
            for some in copying.chunks(records):
                await held.commit(some)
        self._counts["repaired"] += len(told)


def _sum(body: Mapping[str, Any]) -> Sum:
    [row] = body["records"]
    newest = row["newest"]
    return Sum(int(row["n"]), None if newest is None else versions.millis(datetime.fromisoformat(newest)))


def _where(of: Range) -> str:
    """Ends that are no ids are left out: SOQL would refuse them."""
    low = [f"Id >= {soql.literal(of.low)}"] if of.low else []
    high = [f"Id < {soql.literal(of.high)}"] if of.high != HIGHEST else []
    return " AND ".join(low + high)


def object_of(token: str) -> tuple[str, str]:
    """Object and id of a token. ValueError for any other text."""
    kind, _, rest = token.partition(":")
    name, colon, start = rest.partition(":")
    if kind != "verify" or not colon or name not in topics.RECORD_TOPICS:
        raise ValueError(f"{token!r} is no token of umbra verify")
    return name, start
