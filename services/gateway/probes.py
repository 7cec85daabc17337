"""Health of the gateway: ready while it has something to answer from; its queues for whoever looks after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.gateway.ladder import Ladder
from services.gateway.log import Log
from services.gateway.near import Near
from services.gateway.postgres import Database, PostgresAway
from services.kernel.valkey import AWAY
from services.salesforce.calls import CallClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    database: Database
    redis: Redis
    ladder: Ladder
    log: Log
    near: Near
    registry: CollectorRegistry

    async def has_a_source(self) -> str | None:
        """Not ready only when neither Postgres nor Valkey answers: one of them is enough."""
        try:
            await self.database.rows("alive")
        except PostgresAway:
            return None if await self._valkey() else "neither postgres nor valkey answers"
        return None

    async def _valkey(self) -> bool:
        try:
            return bool(await self.redis.ping())
        except AWAY:
            return False

    async def queues(self, _: web.Request) -> web.Response:
        """The door's queue, what is under way here, and what the projector has still to tell."""
        found = {
            "salesforce": self._door(),
            "gateway": {**self.ladder.under_way, "log": self.log.waiting, "near": self.near.is_on},
            "projector": await self._projector(),
        }
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")

    def _door(self) -> dict[str, Any]:
        waiting = {
            each.label: self._sample("salesforce_calls_waiting", {"call_class": each.label}) for each in CallClass
        }
        return {"running": self._sample("salesforce_calls_running", {}), "waiting": waiting}

    def _sample(self, name: str, labels: dict[str, str]) -> int:
        return int(self.registry.get_sample_value(name, labels) or 0)

    async def _projector(self) -> dict[str, Any] | None:
        try:
            row = await self.database.row("backlog")
        except PostgresAway:
            return None
        oldest = row["oldest_untold_seconds"]
        return {
            "untold": row["untold"],
            "oldestUntoldSeconds": None if oldest is None else round(float(oldest), 3),
            "observedSecondsAgo": msgspec.json.decode(row["observed_seconds_ago"] or "{}"),
        }
