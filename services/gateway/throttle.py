"""How many live reads one caller may force: so many a minute over the fleet, by GCRA. Without Valkey, per process."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path

from redis.asyncio import Redis

from services.kernel.clock import Clock
from services.kernel.valkey import AWAY

_MOST_CALLERS = 10_000


class Throttle:
    def __init__(self, redis: Redis, clock: Clock, per_minute: int) -> None:
        self._script = redis.register_script(Path(__file__).with_name("throttle.lua").read_text(encoding="utf-8"))
        self._clock = clock
        self._burst = per_minute
        self._interval_ms = 60_000 // per_minute
        self._due: OrderedDict[str, float] = OrderedDict()

    async def wait(self, caller: str) -> float:
        """0 when the caller may, and then it counts; else the seconds after which it may."""
        name = blake2b(caller.encode(), digest_size=12).hexdigest()
        try:
            waited = await self._script(keys=[f"umbra:forced:{name}"], args=[self._interval_ms, self._burst])
            return int(waited) / 1000
        except AWAY:
            return self._alone(name)

    def _alone(self, name: str) -> float:
        now = self._clock.monotonic() * 1000
        due = max(self._due.get(name, 0.0), now)
        wait = due - now - self._interval_ms * (self._burst - 1)
        if wait > 0:
            return wait / 1000
        self._due[name] = due + self._interval_ms
        self._due.move_to_end(name)
        if len(self._due) > _MOST_CALLERS:
            self._due.popitem(last=False)
        return 0.0
