"""A cache whose fills are fenced: no value read before an invalidation is ever found after it.

Every tag holds a random nonce; an entry counts only while the nonces it was filled under are those of now. A lost
tag gets a new nonce, so eviction, FLUSHALL and restarts can only empty the cache, never bring an old value back.

Keys carry their family (`catalog`, `eligibility`, `order`) as the hash tag: all keys of one call lie in one slot of
a cluster, and an entry's tags are of one family. A call that tells several families is one script for each.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

CHANNEL = "umbra:told"
"""Told tags are published here, a JSON list of texts, for the caches inside processes."""

RECORD_SECONDS = 900.0
LIST_SECONDS = 300.0
"""Hard life of an entry: what bounds an old value where Valkey itself goes back in time (failover)."""

LEASE_SECONDS = 3.0
"""How long one reader holds the others back; correctness does not depend on it."""

_TAG_MS = int(RECORD_SECONDS * 1000) + 60_000
_TAGS_PER_CALL = 500
_UNKNOWN = "-"


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A payload that no invalidation has voided. nonces: what it was filled under."""

    data: bytes
    nonces: bytes


class Miss(msgspec.Struct, frozen=True, gc=False):
    """Nothing there. What a fill needs, taken before the value is read.

    nonces: of the tags, joined; two reads that saw the same ones may share one value
    floor: greatest LSN that the tags' last invalidations waited for, None when none is known
    known: every tag has a floor, so that a replica at or past `floor` may be read
    token: of the lease; None when another reader has it
    """

    key: str
    tags: tuple[str, ...]
    nonces: bytes
    floor: str | None
    known: bool
    token: str | None


def new_nonce() -> str:
    """128 random bits. Never a counter: an evicted one would count to the same number again."""
    return secrets.token_hex(16)


def lsn_text(lsn: str) -> str:
    """A Postgres LSN (`16/B374D848`) as 16 digits that compare as text."""
    high, _, low = lsn.partition("/")
    return f"{int(high, 16):08X}{int(low, 16):08X}"


def family(tag: str) -> str:
    return tag.split(":", 1)[0]


def told(message: bytes) -> list[str]:
    """The tags of a message on CHANNEL."""
    return msgspec.json.decode(message, type=list[str])


class TagCache:
    """Reads, fills and invalidates. Calls raise what redis raises (`services.kernel.valkey.AWAY`)."""

    def __init__(
        self, redis: Redis, *, lease_seconds: float = LEASE_SECONDS, nonce: Callable[[], str] = new_nonce
    ) -> None:
        self._redis = redis
        self._nonce = nonce
        self._lease_ms = int(lease_seconds * 1000)
        self._read = redis.register_script(_script("read"))
        self._fill = redis.register_script(_script("fill"))
        self._invalidate = redis.register_script(_script("invalidate"))
        self._release = redis.register_script(_script("release"))

    async def read(self, key: str, tags: Sequence[str]) -> Hit | Miss:
        """Look an entry up under its tags, all of one family; a miss may come with the lease to fetch it."""
        token = self._nonce()
        found: list[Any] = await self._read(keys=_keys(key, tags), args=[self._nonce(), token, _TAG_MS, self._lease_ms])
        if found[0] == 1:
            return Hit(found[1], found[2])
        floor = found[2].decode()
        return Miss(
            key=key,
            tags=tuple(tags),
            nonces=found[1],
            floor=None if floor == _UNKNOWN else floor,
            known=found[3] == 1,
            token=token if found[4] == 1 else None,
        )

    async def fill(self, miss: Miss, data: bytes, *, seconds: float, lsn: str | None = None) -> bool:
        """Keep what was read after `miss`; False when a tag was told or lost meanwhile, and nothing is kept.

        seconds: hard life of the entry, at most RECORD_SECONDS
        lsn: `pg_current_wal_lsn()` of the primary that the value was read from, taken after `read`; None of a replica
        """
        life_ms = int(min(seconds, RECORD_SECONDS) * 1000)
        floor = "" if lsn is None else lsn_text(lsn)
        kept = await self._fill(
            keys=_keys(miss.key, miss.tags), args=[miss.nonces, data, life_ms, miss.token or "", floor, _TAG_MS]
        )
        return bool(kept)

    async def release(self, miss: Miss) -> None:
        """Give a lease back without a fill, so that others need not wait for its end."""
        if miss.token is not None:
            await self._release(keys=[_lease(miss.key, _slot(miss.tags))], args=[miss.token])

    async def peek(self, key: str, tags: Sequence[str]) -> Hit | None:
        """What `read` would hit, for who only looks: no nonce is made and no lease taken."""
        entry, _, *named = _keys(key, tags)
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.mget(named)
        pipeline.hmget(entry, "n", "d")
        stored, (nonces, data) = await pipeline.execute()
        joined = None if None in stored else b",".join(each.partition(b":")[0] for each in stored)
        return Hit(data, nonces) if data is not None and nonces == joined else None

    async def keys(self, family: str) -> AsyncIterator[str]:
        """The keys of all that is kept of a family, void or not; one may come twice."""
        prefix = f"e:{{{family}}}:"
        async for found in self._redis.scan_iter(match=f"{prefix}*", count=1000):
            yield found.decode().removeprefix(prefix)

    async def invalidate(self, tags: Iterable[str], lsn: str) -> None:
        """Void every entry under any of these tags and tell the processes. Repeats are harmless.

        lsn: `pg_current_wal_lsn()` taken after the commit of the change
        """
        by_family: dict[str, list[str]] = {}
        for tag in sorted(set(tags)):
            by_family.setdefault(family(tag), []).append(tag)
        floor = lsn_text(lsn)
        for group in by_family.values():
            for start in range(0, len(group), _TAGS_PER_CALL):
                await self._tell(group[start : start + _TAGS_PER_CALL], floor)

    async def _tell(self, tags: list[str], floor: str) -> None:
        await self._invalidate(
            keys=[_tag(tag, family(tag)) for tag in tags],
            args=[self._nonce(), floor, _TAG_MS, CHANNEL, msgspec.json.encode(tags)],
        )


def _script(name: str) -> str:
    return Path(__file__).with_name(f"tagcache_{name}.lua").read_text(encoding="utf-8")


def _slot(tags: Sequence[str]) -> str:
    families = {family(tag) for tag in tags}
    if len(families) != 1:
        raise ValueError(f"an entry has tags of one family, not of {sorted(families)}")
    return families.pop()


def _keys(key: str, tags: Sequence[str]) -> list[str]:
    slot = _slot(tags)
    return [f"e:{{{slot}}}:{key}", _lease(key, slot), *(_tag(tag, slot) for tag in tags)]


def _lease(key: str, slot: str) -> str:
    return f"l:{{{slot}}}:{key}"


def _tag(tag: str, slot: str) -> str:
    return f"t:{{{slot}}}:{tag}"
