"""Live reads: Salesforce asked now, joined with what is stored, and told to the log.

Salesforce itself lags, so a read is never served alone where the stored state can be had: a stored value of a newer
commit wins over it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from schemas import versions
from schemas.events import OrderStatus, RecordChange
from schemas.join import EMPTY, State, join, state_of
from schemas.mapping import Mapping as FieldMapping
from schemas.versions import Version
from services.gateway import freshness
from services.gateway.log import Log
from services.gateway.postgres import Database, PostgresAway
from services.gateway.shapes import ORDER
from services.kernel.clock import Clock
from services.salesforce import canonical, changes, observed, soql
from services.salesforce.calls import CallClass, within
from services.salesforce.observed import STATUS, Known
from services.salesforce.rest import Rest

log = logging.getLogger(__name__)

SERVING_MARGIN_MS = 5_000
"""The least margin that holds: late visibility 3 s, early commit times 1 s, clock error 1 s. The log's copy has M."""
_RECENT = timedelta(minutes=2)
"""Stored records that changed this lately may be news to Salesforce's own index."""
_MOST_TOLD = 200
"""A read of more records than this is not told to the log: that is a backfill's work."""

_PAYLOAD = msgspec.json.Decoder(dict[str, object])
_VERSIONS = msgspec.json.Decoder(dict[str, Version])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One query of one object.

    ids: records that are asked for by id; one that does not come is absent
    deleted: ask for deleted records too, which tells "deleted" from "never was"
    """

    object: str
    where: str
    ids: Sequence[str] = ()
    deleted: bool = True


@dataclass(slots=True)
class Found:
    """What live reads and the stored state say together.

    states: by object and record id; records that only the stored state knows are in it where they are news
    statuses: of orders, reported by this read because the event was lost
    joined: False when the stored state could not be had
    """

    states: dict[str, dict[str, State]] = field(default_factory=dict)
    statuses: dict[str, OrderStatus] = field(default_factory=dict)
    as_of_ms: int = 0
    joined: bool = True


class Live:
    def __init__(self, rest: Rest, database: Database, log_: Log, mapping: FieldMapping, clock: Clock) -> None:
        self._rest = rest
        self._database = database
        self._log = log_
        self._mapping = mapping
        self._clock = clock

    async def read(self, *asks: Ask, call_class: CallClass, seconds: float) -> Found:
        """Ask Salesforce, each object once. Raises the door's errors."""
        found, as_of, deadline = Found(), [], within(seconds)
        for ask in asks:
            of = self._mapping.objects[ask.object]
            query = self._rest.query_all if ask.deleted else self._rest.query
            read = await query(soql.select(of.select, ask.object, ask.where), call_class=call_class, deadline=deadline)
            records = [canonical.from_rest(of, record) for record in read.records]
            as_of.append(await self._join(found, ask, records, read.r0_ms))
        found.as_of_ms = min(as_of)
        return found

    async def _join(self, found: Found, ask: Ask, records: Sequence[Mapping[str, canonical.Value]], r0_ms: int) -> int:
        said = self._said(ask, records, r0_ms, versions.DEFAULT_MARGIN_MS)
        live = {c.record_id: state_of(c) for c in self._said(ask, records, r0_ms, SERVING_MARGIN_MS)}
        stored = await self._stored(found, ask.object, [*live, *ask.ids])
        floor = versions.read_version(r0_ms, SERVING_MARGIN_MS)
        news = {key: state for key, state in stored.items() if key not in live and (state.newest or "") > floor}
        found.states[ask.object] = {key: join(stored.get(key, EMPTY), state) for key, state in live.items()} | news
        if ask.object == ORDER:
            lost = observed.statuses(self._mapping.order_status, said, _known_statuses(stored))
            found.statuses = {each.order_id: each for each in lost}
        if len(said) <= _MOST_TOLD:
            self._tell([*said, *found.statuses.values()])
        kept = [version for key, state in live.items() for version in _won(stored.get(key, EMPTY), state)]
        return freshness.as_of_live(r0_ms, [*kept, *(s.newest for s in news.values() if s.newest is not None)])

    def _said(
        self, ask: Ask, records: Sequence[Mapping[str, canonical.Value]], r0_ms: int, margin_ms: int
    ) -> list[RecordChange]:
        of = self._mapping.objects[ask.object]
        present = [changes.snapshot(of, each, r0_ms=r0_ms, origin="live", margin_ms=margin_ms) for each in records]
        gone = set(ask.ids) - {change.record_id for change in present}
        return present + [
            changes.absent(ask.object, each, r0_ms=r0_ms, origin="live", margin_ms=margin_ms) for each in sorted(gone)
        ]

    async def _stored(self, found: Found, object_name: str, ids: Sequence[str]) -> dict[str, State]:
        try:
            return await states(self._database, object_name, ids, self._clock.now() - _RECENT)
        except PostgresAway:
            found.joined = False
            return {}

    def _tell(self, said: Iterable[RecordChange | OrderStatus]) -> None:
        for each in said:
            self._log.post(each)


async def states(database: Database, object_name: str, ids: Sequence[str], since: object) -> dict[str, State]:
    """Stored states of these records and of those of the object that changed since. Raises PostgresAway."""
    rows = await database.rows("states", object_name, list(ids), since, large=True)
    return {
        row["record_id"]: State(
            _PAYLOAD.decode(row["payload"]), row["base"], _VERSIONS.decode(row["newer"]), row["dirty"]
        )
        for row in rows
    }


def _won(stored: State, live: State) -> Iterable[Version]:
    """Versions of the stored values that differ from the live ones and win over them."""
    for name, value in stored.payload.items():
        mine, theirs = stored.version(name), live.version(name)
        if mine is not None and theirs is not None and mine > theirs and live.payload.get(name) != value:
            yield mine


def _known_statuses(stored: Mapping[str, State]) -> dict[str, Known]:
    """The Status that is stored of each order, where one is."""
    found = {key: (state.payload.get(STATUS), state.version(STATUS)) for key, state in stored.items()}
    return {key: Known(status, version) for key, (status, version) in found.items() if version is not None}
