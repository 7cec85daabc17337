"""The price book that is sold from: given by id, or found by name once for the whole fleet."""

from __future__ import annotations

import asyncio
import logging
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis

from schemas import ids
from services.gateway import problems
from services.kernel.health import Gate
from services.kernel.retry import Backoff
from services.kernel.valkey import AWAY
from services.salesforce import soql
from services.salesforce.calls import CallClass, within
from services.salesforce.errors import SalesforceError
from services.salesforce.rest import Rest

log = logging.getLogger(__name__)

_PREFIX = "01s"
_REMEMBERED_SECONDS = 7 * 24 * 3600
_CALL_SECONDS = 10.0


class PriceBook:
    """org: what tells orgs apart that share a Valkey; ready: closed while the book is not known"""

    def __init__(self, wanted: str, org: str, rest: Rest, redis: Redis) -> None:
        self._wanted = wanted
        self._org = org
        self._rest = rest
        self._redis = redis
        self.ready = Gate("the price book is not known yet")
        self._id = _as_id(wanted)
        if self._id is not None or not wanted:
            self.ready.open()

    def current(self) -> str | None:
        """The book's id; None where entries of every book are shown. Raises Problem while it is not known."""
        if not self.ready.is_open:
            raise problems.unavailable("The price book is not known yet.", 2)
        return self._id

    async def known(self) -> str | None:
        """The book's id without a call: None where every book is shown, or nobody has asked for it yet."""
        return self._id or (await self._remembered() if self._wanted else None)

    async def find(self) -> None:
        """Return once the book is known."""
        backoff = Backoff(first=0.2, longest=10.0)
        while not self.ready.is_open:
            self._id = await self._remembered() or await self._asked()
            if self._id is not None:
                self.ready.open()
                await self._remember(self._id)
            else:
                await asyncio.sleep(backoff.next())

    @property
    def _key(self) -> str:
        return f"umbra:pricebook:{blake2b(f'{self._org}|{self._wanted}'.encode(), digest_size=12).hexdigest()}"

    async def _remembered(self) -> str | None:
        try:
            found: Any = await self._redis.get(self._key)
        except AWAY:
            return None
        return None if found is None else _as_id(found.decode())

    async def _remember(self, book_id: str) -> None:
        try:
            await self._redis.set(self._key, book_id, ex=_REMEMBERED_SECONDS)
        except AWAY as error:
            log.info("the price book is not remembered", extra={"action": "book_unkept", "why": type(error).__name__})

    async def _asked(self) -> str | None:
        where = f"IsActive = true AND Name = {soql.literal(self._wanted)}"
        query = soql.select(("Id",), "Pricebook2", where)
        try:
            read = await self._rest.query(query, call_class=CallClass.INTERACTIVE, deadline=within(_CALL_SECONDS))
        except SalesforceError as error:
            log.warning(
                "the price book cannot be asked for", extra={"action": "book_away", "why": type(error).__name__}
            )
            return None
        if len(read.records) != 1:
            log.error(
                "the price book's name must stand for one active book",
                extra={"action": "book_unclear", "found": len(read.records)},
            )
            return None
        return _as_id(str(read.records[0]["Id"]))


def _as_id(text: str) -> str | None:
    """The text as a price book's id; None where it is something else, such as a name."""
    try:
        found = ids.parse(text)
    except ValueError:
        return None
    return found if found.startswith(_PREFIX) else None
