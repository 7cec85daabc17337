"""The ladder of a read: process memory, Valkey, the shadow, live Salesforce, and at last whatever is known.

Down is not an error while there is anything to serve. Nothing read before a change was told is kept after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from schemas import versions
from services.gateway import freshness, problems
from services.gateway.entry import Entry
from services.gateway.flights import Flights
from services.gateway.freshness import ANY, Demand, Receipt, Rules
from services.gateway.metrics import Metrics
from services.gateway.near import Near
from services.gateway.postgres import Database, PostgresAway
from services.gateway.refresh import Refresher
from services.gateway.resources import Reading, Resource
from services.gateway.shared import Shared
from services.gateway.throttle import Throttle
from services.gateway.writes import newest
from services.kernel.clock import Clock
from services.kernel.tagcache import Miss
from services.salesforce.calls import CallClass
from services.salesforce.errors import SalesforceError

_POLL_SECONDS = 0.05
_REFRESH_SECONDS = 30.0
QUIET_SECONDS = 5.0
"""After a live read failed, what is stored is served without another try: nobody waits for the same time-out again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """tier: where it lay: process, valkey, shadow or live"""

    entry: Entry
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    live_seconds: float
    wait_seconds: float
    shadow_reads: bool


class Ladder:
    def __init__(
        self,
        *,
        near: Near,
        shared: Shared,
        database: Database,
        throttle: Throttle,
        rules: Rules,
        limits: Limits,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._near = near
        self._shared = shared
        self._database = database
        self._throttle = throttle
        self._rules = rules
        self._limits = limits
        self._clock = clock
        self._metrics = metrics
        self._flights: Flights[Answer] = Flights()
        self._live_flights: Flights[Entry] = Flights()
        self._quiet_until = 0.0
        self.refresher = Refresher(self.refresh)

    @property
    def under_way(self) -> dict[str, int]:
        return {"fetches": len(self._flights), "live": len(self._live_flights), "refreshes": len(self.refresher)}

    async def close(self) -> None:
        await self._flights.close()
        await self._live_flights.close()

    async def get(self, want: Resource, demand: Demand = ANY) -> Answer:
        """The best answer there is. Raises Problem: 429 and 503 for a demand that cannot be met, 503 for nothing."""
        if demand.near_allowed:
            kept = self._near.get(want.key)
            if kept is not None and self._keeps(want, kept, demand):
                return Answer(kept, "process")
        if demand.after is not None:
            return await self._after(want, demand, demand.after)
        count = self._near.count
        kept, miss = await self._shared.look(want.key, want.tags)
        if kept is not None and self._keeps(want, kept, demand):
            self._near.put(want.key, want.tags, kept, count)
            return Answer(kept, "valkey")
        proof = None if miss is None else miss.nonces
        if miss is not None and self._flights.shares(want.key, proof):
            await self._shared.release(miss)  # whose fetch is under way may be waiting for this lease
        answer = await self._flights.run(want.key, proof, lambda: self._fetch(want, kept, miss))
        if freshness.accepted(answer.entry, demand, self._now_ms()):
            return answer
        return await self._forced(want, demand, answer.entry, miss)

    def _now_ms(self) -> int:
        return versions.millis(self._clock.now())

    def _keeps(self, want: Resource, kept: Entry, demand: Demand) -> bool:
        return freshness.keeps(kept, self._rules, demand, self._now_ms(), rule_live=want.rule_live)

    async def _fetch(self, want: Resource, kept: Entry | None, miss: Miss | None) -> Answer:
        """Read below the caches, once for all who wait, and keep what was read."""
        count = self._near.count
        if kept is None and miss is not None and miss.token is None:
            kept, miss = await self._shared.turn(miss)
            if kept is not None and self._keeps(want, kept, ANY):
                return Answer(kept, "valkey")
        async with self._leased(miss):
            answer, reading = await self._below(want, kept)
        await self._keep(want, reading, miss, count)
        return answer

    async def _keep(self, want: Resource, reading: Reading | None, miss: Miss | None, count: int) -> None:
        if miss is None:
            return
        if reading is None or not reading.entry.joined:
            await self._shared.release(miss)
            return
        life = want.life(reading.entry)
        if await self._shared.fill(miss, reading.entry, seconds=life, lsn=reading.lsn):
            self._near.put(want.key, want.tags, reading.entry, count)

    async def _below(self, want: Resource, kept: Entry | None) -> tuple[Answer, Reading | None]:
        """The answer, and what of it may be kept."""
        reading = await self._from_shadow(want)
        if reading is not None and not self._needs_live(want, reading.entry):
            return Answer(reading.entry, "shadow"), reading
        if reading is None and kept is not None and not self._needs_live(want, kept):
            return Answer(kept, "valkey"), None
        stored = Answer(kept, "valkey") if kept is not None else None
        if reading is not None:
            stored = Answer(reading.entry, "shadow")
        if stored is not None and not stored.entry.says_something:
            stored = None
        if stored is not None and self._clock.monotonic() < self._quiet_until:
            return self._second_best(want, stored), reading
        try:
            entry = await self._live(want, self._why(want, reading))
            return Answer(entry, "live"), Reading(entry)
        except SalesforceError as error:
            self._quiet_until = self._clock.monotonic() + QUIET_SECONDS
            if stored is None:
                raise problems.nothing_known(error.retry_after) from error
            return self._second_best(want, stored), reading

    def _second_best(self, want: Resource, stored: Answer) -> Answer:
        """What is stored, for want of Salesforce."""
        if want.rule_live:
            self.refresher.add(want)
        return stored

    async def _from_shadow(self, want: Resource) -> Reading | None:
        if not self._limits.shadow_reads:
            return None
        try:
            return await want.from_shadow()
        except PostgresAway:
            return None

    def _needs_live(self, want: Resource, entry: Entry) -> bool:
        return freshness.needs_live(entry, self._rules, self._now_ms(), rule_live=want.rule_live)

    def _why(self, want: Resource, reading: Reading | None) -> str:
        if not self._limits.shadow_reads:
            return "unshadowed"
        if reading is None:
            return "away"
        return "rule" if reading.entry.found and reading.entry.covered else "absent"

    async def _live(
        self, want: Resource, why: str, call_class: CallClass = CallClass.INTERACTIVE, seconds: float | None = None
    ) -> Entry:
        """One live read that begins after now, shared by all who came before it began. Raises SalesforceError."""
        outcome = "failed"
        try:
            entry = await self._live_flights.run(
                f"{call_class.label} {want.key}",
                None,
                lambda: want.from_salesforce(call_class, seconds or self._limits.live_seconds),
            )
            outcome = "ok"
            return entry
        finally:
            self._metrics.live_reads.labels(why, outcome).inc()

    async def _forced(self, want: Resource, demand: Demand, known: Entry, miss: Miss | None) -> Answer:
        """The live read that a caller's demand takes; any demand is met by it, since it began after the request."""
        count = self._near.count
        async with self._leased(miss):
            entry = await self._forced_read(want, demand, known)
        await self._keep(want, Reading(entry), miss, count)
        return Answer(entry, "live")

    async def _forced_read(self, want: Resource, demand: Demand, known: Entry) -> Entry:
        wait = await self._throttle.wait(demand.caller)
        if wait > 0:
            self._metrics.live_reads.labels("forced", "refused").inc()
            raise problems.too_many(wait)
        try:
            return await self._live(want, "wait" if demand.after else "forced")
        except SalesforceError as error:
            raise problems.too_old(known, self._now_ms(), error.retry_after) from error

    @asynccontextmanager
    async def _leased(self, miss: Miss | None) -> AsyncIterator[None]:
        """A lease is given back when what it was taken for fails: nobody else shall wait for its end."""
        try:
            yield
        except BaseException:
            if miss is not None:
                await self._shared.release(miss)
            raise

    async def _after(self, want: Resource, demand: Demand, receipt: Receipt) -> Answer:
        """An answer that holds a write: the row once it does, else a live read, joined with the row."""
        holds = await self._holds(receipt)
        count = self._near.count
        _, miss = await self._shared.look(want.key, want.tags)
        reading = await self._from_shadow(want) if holds else None
        if reading is None:
            return await self._forced(want, demand, UNKNOWN, miss)
        await self._keep(want, reading, miss, count)
        if freshness.accepted(reading.entry, demand, self._now_ms()):
            return Answer(reading.entry, "shadow")
        return await self._forced(want, demand, reading.entry, miss)

    async def _holds(self, receipt: Receipt) -> bool:
        deadline = self._clock.monotonic() + self._limits.wait_seconds
        while True:
            try:
                version = await newest(self._database, receipt)
            except PostgresAway:
                return False
            if freshness.holds(version, receipt):
                return True
            if self._clock.monotonic() >= deadline:
                return False
            await asyncio.sleep(_POLL_SECONDS)

    async def refresh(self, want: Resource) -> None:
        """Read it live, with less urgency, and keep it. Raises SalesforceError."""
        count = self._near.count
        _, miss = await self._shared.look(want.key, want.tags)
        async with self._leased(miss):
            entry = await self._live(want, "refresh", CallClass.REPAIR, _REFRESH_SECONDS)
        await self._keep(want, Reading(entry), miss, count)


UNKNOWN = Entry(b"", "", 0, "", 0, covered=False)
"""What is known while nothing is."""
