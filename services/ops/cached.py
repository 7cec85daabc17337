"""The answers in the shared cache beside the rows that they were made of. Looks only: makes no nonce, takes no lease.

An answer is stale when it would still be served, the rows say something else, and nothing waits in the outbox that
is about to void it. One that was read from Salesforce after the rows' own time is ahead of them, which is no fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import msgspec
from prometheus_client import CollectorRegistry

from schemas.mapping import Mapping
from services.gateway import entry as entries
from services.gateway import resources
from services.gateway.catalog import Catalog
from services.gateway.entry import Entry
from services.gateway.live import Ask, Found, Live
from services.gateway.metrics import Metrics
from services.gateway.personal import Personal
from services.gateway.postgres import Database
from services.gateway.resources import Resource
from services.gateway.shapes import Shapes
from services.kernel import postgres
from services.kernel.clock import SYSTEM
from services.kernel.tagcache import TagCache

FAMILIES = ("catalog", "eligibility", "order")
State = Literal["equal", "stale", "ahead", "under way", "void", "other"]
"""equal, stale; ahead: newer than the rows; under way: its tags wait to be told; void: counts no more; other: of
another mapping or version of the gateway."""

_PATIENCE_SECONDS = 5.0
"""Tags that wait for longer are not about to be told."""
_TRIES = 3
_PAUSE_SECONDS = 0.2
_TIME = "updatedAt"
_QUERIES = Path(__file__).with_name("kept.sql")


class Looked(NamedTuple):
    """One kept answer. detail: how long its tags have waited, or which values differ"""

    key: str
    state: State
    detail: str | None = None


class _NoSalesforce:
    async def read(self, *asks: Ask, **_: Any) -> Found:
        raise NotImplementedError(f"answers are read from the rows here, not from the org: {asks}")


@dataclass(frozen=True, slots=True)
class Kept:
    """The shared cache, read as the gateway names what it keeps."""

    pool: Any
    cache: TagCache
    catalog: Catalog
    personal: Personal
    edition: str

    async def listed(self) -> AsyncIterator[tuple[str, str]]:
        """Family and key of all that is kept."""
        for family in FAMILIES:
            async for key in self.cache.keys(family):
                yield family, key

    async def look(self, family: str, key: str) -> Looked:
        """Raises what redis and Postgres raise."""
        resource = self.resource(family, key)
        if resource is None:
            return Looked(key, "other")
        looked = await self._once(resource)
        for _ in range(_TRIES - 1):
            # A change between the two reads, or one that is told just now, looks like a stale answer once.
            if looked.state not in ("stale", "under way"):
                break
            await asyncio.sleep(_PAUSE_SECONDS)
            looked = await self._once(resource)
        return looked

    async def _once(self, resource: Resource) -> Looked:
        kept = await self.cache.peek(resource.key, resource.tags)
        if kept is None:
            return Looked(resource.key, "void")
        answer, fresh = entries.decode(kept.data), (await resource.from_shadow()).entry
        differing = _differing(answer, fresh)
        if differing is None:
            return Looked(resource.key, "equal")
        if answer.as_of_ms > fresh.as_of_ms:
            return Looked(resource.key, "ahead", differing)
        untold = await self.pool.fetchval(postgres.queries(_QUERIES)["untold"], list(resource.tags))
        if untold is None:
            return Looked(resource.key, "stale", differing)
        state: State = "under way" if untold < _PATIENCE_SECONDS else "stale"
        return Looked(resource.key, state, f"{differing}; its tags have waited for {untold:.1f} s")

    def resource(self, family: str, key: str) -> Resource | None:
        """What is kept under a key; None where the key is not of this mapping and version."""
        edition, _, rest = key.partition(":")
        if edition != self.edition:
            return None
        made = self._catalog(rest) if family == "catalog" else self._personal(rest)
        return made if made is not None and made.key == key else None

    def _catalog(self, rest: str) -> Resource | None:
        book, _, name = rest.partition(":")
        kind, _, about = name.partition(":")
        of = None if book == "*" else book
        match kind:
            case "product":
                return self.catalog.product(about, of)
            case "prices":
                return self.catalog.prices(about, of)
            case "products":
                return self.catalog.products(about or None, of)
            case "plans":
                offerings: frozenset[str] = msgspec.json.decode(about, type=frozenset[str])
                return self.catalog.internet_plans(offerings, of)
            case _:
                return None

    def _personal(self, rest: str) -> Resource | None:
        kind, _, record_id = rest.partition(":")
        makers = {
            "eligibility": self.personal.eligibility,
            "order": self.personal.order,
            "orders": self.personal.orders,
        }
        return makers[kind](record_id) if kind in makers else None


def kept(pool: Any, cache: TagCache, mapping: Mapping, mapping_file: Path | None) -> Kept:
    """The gateway's own reading and naming; nothing here can reach Salesforce."""
    database = Database(pool, SYSTEM, Metrics(CollectorRegistry()))
    live = cast("Live", _NoSalesforce())
    edition = resources.edition(mapping_file)
    parts = (database, live, mapping, Shapes(mapping), SYSTEM, edition)
    return Kept(pool, cache, Catalog(*parts), Personal(*parts), edition)


def _differing(answer: Entry, fresh: Entry) -> str | None:
    """What differs, in a word; None where both say the same, whenever each was read."""
    if answer.found != fresh.found:
        return "it is gone" if answer.found else "it is there"
    if answer.body == fresh.body or not answer.found:
        return None
    names = sorted(set(_changes(msgspec.json.decode(answer.body), msgspec.json.decode(fresh.body))))
    return ", ".join(names) if names else None


def _changes(old: Any, new: Any, name: str = "list") -> list[str]:
    """Names of values that differ, at any depth. The time of a row is no content: a live read has its own."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in old.keys() | new.keys() if key != _TIME]
        return [each for key in keys for each in _changes(old.get(key), new.get(key), key)]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [each for mine, theirs in zip(old, new, strict=True) for each in _changes(mine, theirs, name)]
    return [] if old == new else [name]
