"""Hears which tags are told and keeps the near cache honest: off while nobody listens, emptied once somebody does."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from redis.asyncio import Redis

from services.gateway.metrics import Metrics
from services.gateway.near import Near
from services.kernel import tagcache
from services.kernel.retry import Backoff
from services.kernel.valkey import AWAY

log = logging.getLogger(__name__)

PING_SECONDS = 1.0
"""A dead link is found within two of these."""


class Silent(ConnectionError):
    """The subscription's connection does not answer its pings."""


class Listener:
    def __init__(self, redis: Redis, near: Near, metrics: Metrics) -> None:
        self._redis = redis
        self._near = near
        self._metrics = metrics

    async def run(self) -> None:
        backoff = Backoff(first=0.05, longest=1.0)
        while True:
            try:
                await self._listen(backoff)
            except AWAY as error:
                log.warning("told tags are not heard", extra={"action": "told_unheard", "why": type(error).__name__})
            finally:
                self._near.switch_off()
            await asyncio.sleep(backoff.next())

    async def _listen(self, backoff: Backoff) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(tagcache.CHANNEL)
            unanswered = 0
            while unanswered < 2:
                message = await pubsub.get_message(timeout=PING_SECONDS)
                if message is None:
                    await pubsub.ping()
                    unanswered += 1
                    continue
                unanswered = 0
                self._take(message, backoff)
            raise Silent("no answer to two pings")

    def _take(self, message: dict[str, Any], backoff: Backoff) -> None:
        if message["type"] == "subscribe":
            self._near.switch_on()
            backoff.reset()
        elif message["type"] == "message":
            self._metrics.told.inc(self._near.told(tagcache.told(message["data"])))
