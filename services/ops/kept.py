"""What Umbra holds of one record: its state and row in Postgres, and the answers about it in the shared cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from schemas.join import State
from schemas.mapping import Mapping, ObjectMapping
from services.gateway import entry as entries
from services.gateway import resources
from services.gateway.books import PriceBook
from services.gateway.catalog import Catalog
from services.gateway.live import Live
from services.gateway.log import Log
from services.gateway.metrics import Metrics
from services.gateway.personal import Personal
from services.gateway.postgres import Database
from services.gateway.resources import Resource
from services.gateway.shapes import Shapes
from services.kernel import postgres
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings
from services.kernel.tagcache import Hit, TagCache
from services.ops.proof import Held, Kept
from services.projector.rows import Hidden
from services.salesforce.rest import Rest

_QUERIES = Path(__file__).with_name("kept.sql")


async def held(pool: Any, mapping: ObjectMapping, record_id: str) -> Held:
    """In one snapshot."""
    sql = postgres.queries(_QUERIES)
    named = f"SELECT * FROM {mapping.table} WHERE {mapping.key} = $1"  # noqa: S608 - names of the mapping file
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        state = await connection.fetchrow(sql["state"], mapping.name, record_id)
        hidden = await connection.fetchrow(sql["hidden"], mapping.name, record_id)
        row = await connection.fetchrow(named, record_id)
    decode = msgspec.json.decode
    return Held(
        state=None if state is None else State(decode(state[0]), state[1], decode(state[2]), state[3]),
        row=None if row is None else {name: value for name, value in row.items() if name != "raw_payload"},
        hidden=None if hidden is None else Hidden(*hidden),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The shared cache as the gateway names what it keeps. Nothing here calls Salesforce."""

    pool: Any
    redis: Redis
    catalog: Catalog
    personal: Personal
    book: str | None

    async def kept(self, object_name: str, record_id: str) -> list[Kept]:
        """Raises what redis and Postgres raise."""
        return [await self._one(name, each) for name, each in await self._answers(object_name, record_id)]

    async def _answers(self, object_name: str, record_id: str) -> list[tuple[str, Resource]]:
        """The answers that are about this record alone; lists are many, and told by the same tags."""
        match object_name:
            case "Account":
                return [("eligibility", self.personal.eligibility(record_id))]
            case "Order":
                return [("order", self.personal.order(record_id))]
        skus = await self.pool.fetch(postgres.queries(_QUERIES)["skus"], record_id)
        makers = {"product": self.catalog.product, "prices": self.catalog.prices}
        return [(f"{name} {row[0]}", make(row[0], self.book)) for row in skus for name, make in makers.items()]

    async def _one(self, name: str, resource: Resource) -> Kept:
        cache = TagCache(self.redis)
        found = await cache.read(resource.key, resource.tags)
        if not isinstance(found, Hit):
            await cache.release(found)
            return Kept(name, None, b"")
        fresh = await resource.from_shadow()
        untold = await self.pool.fetchval(postgres.queries(_QUERIES)["untold"], list(resource.tags))
        return Kept(name, entries.decode(found.data).body, fresh.entry.body, untold)


async def cache(
    *, pool: Any, redis: Redis, rest: Rest, kafka: KafkaSettings, mapping: Mapping, mapping_file: Path | None,
    pricebook: str, org: str,
) -> Cache:  # fmt: skip
    """The gateway's own reading and naming, with its own settings."""
    metrics = Metrics(CollectorRegistry())
    database = Database(pool, SYSTEM, metrics)
    live = Live(rest, database, Log(kafka, SYSTEM, metrics), mapping, SYSTEM)
    parts = (database, live, mapping, Shapes(mapping), SYSTEM, resources.edition(mapping_file))
    book = await PriceBook(pricebook, org, rest, redis).known()
    return Cache(pool=pool, redis=redis, catalog=Catalog(*parts), personal=Personal(*parts), book=book)


def compared(kept: Sequence[Kept]) -> int:
    """How many answers there are to compare."""
    return sum(each.body is not None for each in kept)
