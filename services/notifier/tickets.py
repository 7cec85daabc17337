"""Tickets for pages of other origins, which can send neither cookie nor header with an EventSource.

A ticket is 256 random bits, kept in Valkey only as a hash, bound to one path, and dies with the token that it was
made with. It carries one live stream: it reopens it after a break, and a second use closes the first.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import msgspec
from redis.asyncio import Redis

from services.kernel import valkey
from services.kernel.auth import Claims, Unauthenticated
from services.kernel.errors import Retryable

PARAMETER = "ticket"


class ValkeyAway(Retryable):
    """Valkey did not answer in time."""


class _Kept(msgspec.Struct, frozen=True):
    path: str
    sub: str
    account_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a ticket: `turn` counts them, the greatest is the live one."""

    key: str
    turn: int


class Tickets:
    """Every call raises ValkeyAway when the server is away or slow."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def issue(self, claims: Claims, path: str) -> str:
        """A ticket for one path and the caller's account."""
        ticket = secrets.token_urlsafe(32)
        kept = _Kept(path, claims.sub, claims.account_id or "", claims.expires_at)
        until = int(claims.expires_at.timestamp() * 1000)
        await _answer(self._client.set(_key(ticket), msgspec.json.encode(kept), pxat=until))
        return ticket

    async def redeem(self, ticket: str, path: str) -> tuple[Claims, Use]:
        """Whose ticket it is; Unauthenticated when it is not one for this path. Closes its earlier streams."""
        key = _key(ticket)
        found = await _answer(self._client.get(key))
        kept = None if found is None else msgspec.json.decode(cast(bytes, found), type=_Kept)
        if kept is None or kept.path != path or kept.expires_at <= datetime.now(UTC):
            raise Unauthenticated("the ticket does not hold")
        turns = self._client.pipeline()
        turns.incr(_turn(key))
        turns.pexpireat(_turn(key), int(kept.expires_at.timestamp() * 1000))
        turn, _ = cast("tuple[int, int]", await _answer(turns.execute()))
        return Claims(kept.sub, kept.account_id, frozenset(), kept.expires_at), Use(key, turn)

    async def turns(self, keys: list[str]) -> dict[str, int]:
        """The newest turn of each ticket that is still good."""
        found = cast("list[bytes | None]", await _answer(self._client.mget([_turn(key) for key in keys])))
        return {key: int(turn) for key, turn in zip(keys, found, strict=True) if turn is not None}


def _key(ticket: str) -> str:
    return "umbra:ticket:" + hashlib.sha256(ticket.encode("utf-8", "replace")).hexdigest()


def _turn(key: str) -> str:
    return key + ":turn"


async def _answer(call: Awaitable[object]) -> object:
    try:
        return await call
    except valkey.AWAY as error:
        raise ValkeyAway(type(error).__name__) from error
