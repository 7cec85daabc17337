"""The fleet's API counter in Valkey: RESERVE and SETTLE, each one script, by the server's clock."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from services.salesforce.answers import Usage
from services.salesforce.calls import CallClass
from services.salesforce.grants import Grant, Reason, Withheld
from services.salesforce.settings import SalesforceSettings

_SCRIPTS = Path(__file__).with_name("scripts")
_WAIT_UNKNOWN = 0.05
"""Seconds between two questions while another call finds out what the usage is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the counter goes by.

    floors: share of the allowance that each class leaves untouched
    fleet: calls that all processes together may have open
    call_ms: longest call, with a margin
    probe_ms: the usage being unknown or old, one call in this time goes to find out
    fresh_ms: age up to which a header is good enough to decide by
    window_ms, burst: a backfill spreads what is left above its floor over this time, this many calls at once
    """

    floors: Mapping[CallClass, float]
    fleet: int
    call_ms: int = 125_000
    probe_ms: int = 2_000
    fresh_ms: int = 60_000
    block_ms: int = 60_000
    window_ms: int = 7_200_000
    burst: int = 20


def limits_of(settings: SalesforceSettings) -> Limits:
    return Limits(
        floors={call_class: settings.floor(call_class) for call_class in CallClass},
        fleet=settings.salesforce_fleet_processes * settings.salesforce_concurrency,
        call_ms=int((settings.salesforce_call_seconds + 5) * 1000),
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the counter stands, for people and gauges. expected: the most that can have been used."""

    used: int | None
    max: int | None
    expected: int | None


class FleetBudget:
    """Grants of the fleet. Every method raises `kernel.valkey.AWAY` when Valkey is unreachable."""

    def __init__(self, valkey: Redis, limits: Limits, prefix: str = "umbra:{budget}") -> None:
        self._valkey = valkey
        self._limits = limits
        self._keys = [f"{prefix}:counter", f"{prefix}:open", f"{prefix}:probe"]
        self._reserve = valkey.register_script((_SCRIPTS / "reserve.lua").read_text(encoding="utf-8"))
        self._settle = valkey.register_script((_SCRIPTS / "settle.lua").read_text(encoding="utf-8"))

    async def reserve(self, call_class: CallClass, seconds: float) -> Grant | Withheld:
        limits = self._limits
        grant_id = secrets.token_hex(8)
        arguments: list[str | float] = [
            grant_id,
            1,
            limits.floors[call_class],
            min(limits.call_ms, int(seconds * 1000) + 5_000),
            limits.fleet,
            limits.call_ms,
            limits.probe_ms,
            limits.fresh_ms,
            limits.window_ms if call_class is CallClass.BACKFILL else 0,
            limits.burst,
            int(call_class <= CallClass.WRITE),
        ]
        return _outcome(grant_id, call_class, await self._reserve(keys=self._keys, args=arguments))

    async def settle(self, grant: Grant, usage: Usage | None, spent: bool) -> None:
        header = (usage.used, usage.max) if usage else ("", "")
        block = self._limits.block_ms if spent else 0
        await self._settle(
            keys=self._keys[:2],
            args=[
                grant.id,
                1,
                grant.life,
                grant.started,
                *header,
                block,
                self._limits.fleet,
                self._limits.call_ms,
            ],
        )

    async def standing(self) -> Standing:
        u, m, g, s0 = await self._valkey.hmget(self._keys[0], ["u", "M", "G", "S0"])
        if u is None or m is None:
            return Standing(None, None, None)
        return Standing(int(u), int(m), int(u) + int(g or 0) - int(s0 or 0))


def _outcome(grant_id: str, call_class: CallClass, answer: list[Any]) -> Grant | Withheld:
    kind = answer[0].decode()
    if kind in ("granted", "learn"):
        return Grant(grant_id, call_class, answer[1].decode(), int(answer[2]), learn=kind == "learn")
    reasons: dict[str, Reason] = {"floor": "floor", "blocked": "blocked", "unknown": "unknown", "paced": "paced"}
    wait = {"unknown": _WAIT_UNKNOWN, "floor": None}.get(kind, int(answer[1]) / 1000 if len(answer) > 1 else None)
    return Withheld(reasons[kind], wait)
