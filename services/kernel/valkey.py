"""The Valkey client: short time-outs, because whatever it holds can be had elsewhere."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.kernel.settings import ValkeySettings

AWAY = (RedisError, OSError, TimeoutError)
"""What a call raises when Valkey is away, slow or restarting."""


def client(settings: ValkeySettings, *, timeout: float = 0.5) -> Redis:
    """A pooled client; a call fails after `timeout` seconds instead of holding its caller."""
    made: Redis = Redis.from_url(
        settings.url, socket_timeout=timeout, socket_connect_timeout=timeout, health_check_interval=15
    )
    return made
