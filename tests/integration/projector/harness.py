"""A log in memory and a link to a real Postgres: what applying a batch takes, without Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec

from schemas import events, ids, mapping, topics, versions
from schemas.events import Event, OrderStatus, RecordChange, Watermark
from schemas.join import State
from services.kernel.kafka import partition_of
from services.projector import link as links
from services.projector.apply import Applied, apply
from services.projector.batch import Decoded, Key, decode_all
from services.projector.link import Link
from services.projector.log import LogRecord, Place
from services.projector.rows import Eligibility, Entry, Hidden, Order, Product, Shadow
from services.projector.statuses import Statuses

MAPPING = mapping.load()
EPOCH = "epoch"
NOW = datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC)
T0 = 1_793_588_645_000
_PREFIX = {"Product2": "01t", "PricebookEntry": "01u", "Account": "001", "Order": "801", "Pricebook2": "01s"}


def sf_id(name: str, number: int) -> str:
    """An id of an object whose checksum holds."""
    return ids.parse(f"{_PREFIX[name]}{number:012d}")


def change(kind: Any, name: str, number: int, at: int = 0, commit: int = 1, **fields: Any) -> RecordChange:
    """A change event committed `at` ms after T0."""
    return RecordChange(
        kind=kind,
        object=name,
        record_id=sf_id(name, number),
        version=versions.event_version(T0 + at, commit, 1),
        origin="cdc",
        fields=fields,
        committed_at=versions.moment(T0 + at),
    )


def snapshot(name: str, number: int, at: int = 0, **fields: Any) -> RecordChange:
    """A full read begun `at` ms after T0."""
    return RecordChange(
        kind="snapshot",
        object=name,
        record_id=sf_id(name, number),
        version=versions.read_version(T0 + at),
        origin="backfill",
        fields={"IsDeleted": False, **fields},
        covers="all",
    )


def product(number: int, sku: str, at: int = 0, **fields: Any) -> RecordChange:
    return snapshot(
        "Product2", number, at, **{"StockKeepingUnit": sku, "Name": f"Product {number}", "IsActive": True, **fields}
    )


def entry(number: int, of: int, price: str = "4980", at: int = 0, **fields: Any) -> RecordChange:
    known = {
        "Product2Id": sf_id("Product2", of),
        "Pricebook2Id": sf_id("Pricebook2", 1),
        "UnitPrice": price,
        "CurrencyIsoCode": "JPY",
        "IsActive": True,
    }
    return snapshot("PricebookEntry", number, at, **{**known, **fields})


def status(number: int, name: str, at: int = 0, reason: str | None = None, **more: Any) -> OrderStatus:
    event_id = f"{number}-{name}-{at}-{reason}"
    terminal = name in MAPPING.order_status.terminal
    return OrderStatus(
        id=event_id,
        order_id=sf_id("Order", number),
        status=name,
        terminal=terminal,
        reason=reason,
        occurred_at=versions.moment(T0 + at),
        source="salesforce",
        version=versions.status_version(T0 + at, "salesforce", 0, 0, terminal, event_id),
        **more,
    )


def topic_of(event: Event) -> topics.Topic:
    match event:
        case RecordChange() | Watermark():
            return topics.RECORD_TOPICS[event.object]
        case OrderStatus():
            return topics.ORDER_STATUS
        case _:
            raise AssertionError(event)


@dataclass(slots=True)
class Log:
    """Appends events to the partitions that the real partitioner would choose."""

    ends: dict[Place, int] = field(default_factory=dict)

    def append(self, *said: Event, skip: int = 0) -> list[LogRecord]:
        """Write events; `skip` offsets of each partition are taken by markers before them."""
        return [record for event in said for record in self._append(event, skip)]

    def _append(self, event: Event, skip: int) -> Iterable[LogRecord]:
        topic = topic_of(event)
        message = events.encode(event, source="/test", now=NOW)
        if message.key is None:
            for partition in range(topic.partitions):
                yield self.write(Place(topic.name, partition), None, message.value, skip)
        else:
            partition = partition_of(message.key.decode(), topic.partitions)
            yield self.write(Place(topic.name, partition), message.key, message.value, skip)

    def write(self, place: Place, key: bytes | None, value: bytes | None, skip: int = 0) -> LogRecord:
        follows = self.ends.get(place, 0)
        offset = follows + skip
        self.ends[place] = offset + 1
        return LogRecord(place, offset, follows, T0, key, value)


async def refuse_none(link: Link, rejected: Sequence[Decoded]) -> None:
    raise AssertionError([each.fault for each in rejected])


@dataclass(slots=True)
class Bench:
    """Applies records to one database."""

    link: Link

    async def apply(self, records: Sequence[LogRecord], **options: Any) -> Applied:
        decoded = decode_all(records, MAPPING)
        options = {"mapping": MAPPING, "outlet": refuse_none, **options}
        return await apply(self.link, decoded, **options)

    @property
    def connection(self) -> Any:
        return self.link.connection

    async def tags(self) -> set[str]:
        """Tags in the outbox."""
        rows = await self.connection.fetch("SELECT DISTINCT unnest(tags) AS tag FROM cache_outbox")
        return {row["tag"] for row in rows}

    async def clear_outbox(self) -> None:
        await self.connection.execute("DELETE FROM cache_outbox")

    async def states(self) -> dict[Key, State]:
        rows = await self.connection.fetch(
            "SELECT object, record_id, payload::text, base, newer::text, dirty FROM sf_record"
        )
        decode = msgspec.json.decode
        return {Key(row[0], row[1]): State(decode(row[2]), row[3], decode(row[4]), row[5]) for row in rows}

    async def shadow(self) -> Shadow:
        """All that the shadow tables show and hide."""
        made = Shadow()
        for kind, name, rows in (
            (Product, "product", made.products),
            (Entry, "pricebook", made.entries),
            (Eligibility, "account_eligibility", made.accounts),
            (Order, "order", made.orders),
        ):
            await self._read(kind, f"sf_{name}_shadow", rows)
        for row in await self.connection.fetch("SELECT object, record_id, reason, detail FROM sf_hidden"):
            made.hidden[Key(row[0], row[1])] = Hidden(row[2], row[3])
        return made

    async def _read(self, kind: Any, table: str, rows: Any) -> None:
        columns = [name for name in kind.__dataclass_fields__ if name not in ("active", "raw_payload")]
        for row in await self.connection.fetch(f"SELECT {', '.join(columns)}, raw_payload::text FROM {table}"):  # noqa: S608
            rows[row[0]] = kind(*row[:-1], msgspec.json.decode(row[-1]))

    async def statuses(self) -> dict[str, Statuses]:
        from services.projector import personal

        ids_known = [row[0] for row in await self.connection.fetch("SELECT order_id FROM sf_order_status")]
        return await personal.read_statuses(self.link, ids_known)


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Bench]:
    """A link to a migrated database in which every partition stands at its beginning."""
    link = await links.connect(dsn)
    try:
        await begin(link.connection)
        yield Bench(link)
    finally:
        await link.connection.close()


async def begin(connection: asyncpg.Connection) -> None:
    places = [(topic.name, partition) for topic in topics.ALL for partition in range(topic.partitions)]
    await connection.executemany(
        "INSERT INTO topic_epoch (topic, epoch, partitions, object) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        [(topic.name, EPOCH, topic.partitions, topics.OBJECT_OF.get(topic.name)) for topic in topics.ALL],
    )
    await connection.executemany(
        "INSERT INTO projection_offset (topic, partition, epoch, next_offset) VALUES ($1, $2, $3, 0) "
        "ON CONFLICT DO NOTHING",
        [(topic, partition, EPOCH) for topic, partition in places],
    )
