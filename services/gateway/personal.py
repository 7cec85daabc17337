"""What belongs to one account: its eligibility and its orders."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from schemas import tags, topics, versions
from schemas.events import OrderStatus, stamp
from schemas.mapping import Mapping as FieldMapping
from services.gateway import answers, freshness
from services.gateway.answers import Order, Orders
from services.gateway.entry import ABSENT, Entry, entry
from services.gateway.live import Ask, Found, Live
from services.gateway.postgres import Database, PostgresAway
from services.gateway.resources import LIST_SECONDS, RECORD_SECONDS, REMEMBERED, Reading, Resource, Row, trace
from services.gateway.shapes import ACCOUNT, ORDER, Shapes, Status, status_of, updated
from services.kernel.clock import Clock
from services.kernel.kafka import partition_of
from services.salesforce import soql
from services.salesforce.calls import CallClass

MOST_ORDERS = 500
"""Orders in an account's list, the newest ones."""
_PAYLOAD = msgspec.json.Decoder(dict[str, object])


class Personal:
    def __init__(
        self, database: Database, live: Live, mapping: FieldMapping, shapes: Shapes, clock: Clock, edition: str
    ) -> None:
        self._database = database
        self._live = live
        self._mapping = mapping
        self._shapes = shapes
        self._clock = clock
        self._edition = edition
        remember = lru_cache(REMEMBERED)
        self.eligibility = remember(self._eligibility_resource)
        self.order = remember(self._order_resource)
        self.orders = remember(self._orders_resource)

    def _eligibility_resource(self, account_id: str) -> Resource:
        async def from_shadow() -> Reading:
            row = await self._database.row("eligibility", account_id, topics.ACCOUNT.name)
            return Reading(self._eligibility(account_id, row), row["lsn"])

        async def from_salesforce(call_class: CallClass, seconds: float) -> Entry:
            return await self._eligibility_live(account_id, call_class, seconds)

        return Resource(
            key=f"{self._edition}:eligibility:{account_id}",
            tags=tags.with_families([tags.eligibility(account_id)]),
            seconds=RECORD_SECONDS,
            from_shadow=from_shadow,
            from_salesforce=from_salesforce,
            rule_live=True,
        )

    def _order_resource(self, order_id: str) -> Resource:
        """`about` is its owner."""

        async def from_shadow() -> Reading:
            row = await self._database.row("order", order_id, topics.ORDER.name)
            return Reading(self._order(order_id, row), row["lsn"])

        async def from_salesforce(call_class: CallClass, seconds: float) -> Entry:
            return await self._order_live(order_id, call_class, seconds)

        return Resource(
            key=f"{self._edition}:order:{order_id}",
            tags=tags.with_families([tags.order(order_id)]),
            seconds=RECORD_SECONDS,
            from_shadow=from_shadow,
            from_salesforce=from_salesforce,
        )

    def _orders_resource(self, account_id: str) -> Resource:
        async def from_shadow() -> Reading:
            rows = await self._database.rows("orders", account_id, MOST_ORDERS)
            own = [row for row in rows if row["order_id"] is not None]
            of = freshness.as_of_list([rows[0]["orders_until"]], [row["updated_at"] for row in own])
            body = answers.encode(Orders([self._order_row(row)[0] for row in own]))
            made = entry(body, as_of_ms=of.ms, read_ms=self._now_ms(), covered=of.covered)
            return Reading(made, rows[0]["lsn"])

        async def from_salesforce(call_class: CallClass, seconds: float) -> Entry:
            return await self._orders_live(account_id, call_class, seconds)

        return Resource(
            key=f"{self._edition}:orders:{account_id}",
            tags=tags.with_families([tags.orders_of(account_id)]),
            seconds=LIST_SECONDS,
            from_shadow=from_shadow,
            from_salesforce=from_salesforce,
        )

    def _now_ms(self) -> int:
        return versions.millis(self._clock.now())

    def _eligibility(self, account_id: str, row: Row) -> Entry:
        if row["account_id"] is None:
            of = freshness.as_of_list([row["accounts_until"]])
            return entry(ABSENT, as_of_ms=of.ms, read_ms=self._now_ms(), covered=of.covered)
        made = self._shapes.eligibility(account_id, _PAYLOAD.decode(row["payload"]), stamp(row["updated_at"]))
        topic = topics.ACCOUNT
        return entry(
            answers.encode(made),
            as_of_ms=freshness.as_of_row(row["updated_at"], row["accounts_until"]),
            read_ms=self._now_ms(),
            about=made.internet_eligibility,
            trace=trace(topic.name, partition_of(account_id, topic.partitions), row["offsets"]),
        )

    def _order(self, order_id: str, row: Row) -> Entry:
        if row["order_id"] is None:
            of = freshness.as_of_list([row["orders_until"]])
            return entry(ABSENT, as_of_ms=of.ms, read_ms=self._now_ms(), covered=of.covered)
        made, owner = self._order_row(row)
        topic = topics.ORDER
        return entry(
            answers.encode(made),
            as_of_ms=freshness.as_of_row(row["updated_at"], row["orders_until"]),
            read_ms=self._now_ms(),
            about=owner,
            trace=trace(topic.name, partition_of(order_id, topic.partitions), row["offsets"]),
        )

    def _order_row(self, row: Row) -> tuple[Order, str | None]:
        payload = _PAYLOAD.decode(row["payload"])
        status = Status(row["status"], row["status_reason"], row["status_version"])
        made = self._shapes.order(row["order_id"], payload, stamp(row["updated_at"]), status)
        return made, self._shapes.account_of(payload)

    async def _eligibility_live(self, account_id: str, call_class: CallClass, seconds: float) -> Entry:
        found = await self._live.read(_by_id(ACCOUNT, account_id), call_class=call_class, seconds=seconds)
        state = found.states[ACCOUNT].get(account_id)
        if state is None or not state.alive:
            return self._live_entry(found, ABSENT)
        made = self._shapes.eligibility(account_id, state.payload, updated(state))
        return self._live_entry(found, answers.encode(made), made.internet_eligibility)

    async def _order_live(self, order_id: str, call_class: CallClass, seconds: float) -> Entry:
        found = await self._live.read(_by_id(ORDER, order_id), call_class=call_class, seconds=seconds)
        state = found.states[ORDER].get(order_id)
        if state is None or not state.alive:
            return self._live_entry(found, ABSENT)
        shown = await self._shown(found, [order_id])
        made = self._shapes.order(order_id, state.payload, updated(state), shown.get(order_id) or status_of(state))
        return self._live_entry(found, answers.encode(made), self._shapes.account_of(state.payload))

    async def _orders_live(self, account_id: str, call_class: CallClass, seconds: float) -> Entry:
        owner = self._mapping.objects[ORDER].field_of("account_id")
        where = f"{owner.name if owner else 'AccountId'} = {soql.literal(account_id)}"
        found = await self._live.read(Ask(object=ORDER, where=where), call_class=call_class, seconds=seconds)
        own = {
            key: state
            for key, state in found.states[ORDER].items()
            if state.alive and self._shapes.account_of(state.payload) == account_id
        }
        shown = await self._shown(found, list(own))
        made = [
            self._shapes.order(key, state.payload, updated(state), shown.get(key) or status_of(state))
            for key, state in own.items()
        ]
        made.sort(key=lambda order: order.order_id)
        made.sort(key=lambda order: order.created_at or "", reverse=True)
        return self._live_entry(found, answers.encode(Orders(made[:MOST_ORDERS])))

    async def _shown(self, found: Found, order_ids: list[str]) -> Mapping[str, Status]:
        """What the log says of the statuses, and what this read adds to it; the greater version of each order."""
        try:
            rows = await self._database.rows("shown_statuses", order_ids)
        except PostgresAway:
            found.joined = False
            rows = []
        shown = {r["order_id"]: Status(r["status"], r["status_reason"], r["status_version"]) for r in rows}
        for order_id, seen in found.statuses.items():
            known = shown.get(order_id)
            if known is None or seen.version > known.version:
                shown[order_id] = _reported(seen)
        return shown

    def _live_entry(self, found: Found, body: bytes, about: str | None = None) -> Entry:
        return entry(body, as_of_ms=found.as_of_ms, read_ms=self._now_ms(), about=about, joined=found.joined)


def _reported(seen: OrderStatus) -> Status:
    return Status(seen.status, seen.reason, seen.version)


def _by_id(object_name: str, record_id: str) -> Ask:
    return Ask(object=object_name, where=f"Id = {soql.literal(record_id)}", ids=[record_id])
