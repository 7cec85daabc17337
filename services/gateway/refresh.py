"""Answers that were served stale are read live later, one after another, with less urgency."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from services.gateway.resources import Resource
from services.salesforce.errors import SalesforceError

log = logging.getLogger(__name__)

_MOST_WAITING = 500
_PAUSE_SECONDS = 1.0
"""After a failure; the next request for the same thing asks again."""


class Refresher:
    """A resource waits at most once; when too many wait the newest is dropped."""

    def __init__(self, read: Callable[[Resource], Awaitable[None]]) -> None:
        self._read = read
        self._waiting: OrderedDict[str, Resource] = OrderedDict()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, resource: Resource) -> None:
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.setdefault(resource.key, resource)
            self._some.set()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            _, resource = self._waiting.popitem(last=False)
            if not self._waiting:
                self._some.clear()
            try:
                await self._read(resource)
            except SalesforceError as error:
                log.info("a refresh failed", extra={"action": "refresh_failed", "why": type(error).__name__})
                await asyncio.sleep(_PAUSE_SECONDS)
