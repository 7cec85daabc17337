"""Answers as HTTP: where they came from, how old they are, and 304 for who has them already."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from schemas import versions
from schemas.events import stamp
from services.gateway import freshness
from services.gateway.entry import Entry
from services.gateway.freshness import Rules
from services.gateway.ladder import Answer
from services.gateway.metrics import Metrics
from services.kernel.clock import Clock

CATALOG = {
    "Content-Type": "application/json",
    "Cache-Control": "public, max-age=1, stale-while-revalidate=30, stale-if-error=86400",
    "Vary": "Umbra-Max-Staleness, Umbra-Wait-For",
}
PERSONAL = {
    "Content-Type": "application/json",
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, Cookie",
}
_TIERS = ("process", "valkey", "shadow", "live", "stale")


class Responses:
    def __init__(self, rules: Rules, clock: Clock, metrics: Metrics, instance: str) -> None:
        self._rules = rules
        self._clock = clock
        self._metrics = metrics
        self._instance = instance

    def of(self, request: web.Request, route: str, answer: Answer, policy: dict[str, str]) -> web.Response:
        """An answer as it was kept."""
        entry, now_ms = answer.entry, self._now_ms()
        source = freshness.source_of(entry, answer.tier, self._rules, now_ms)
        return self._made(request, route, entry, entry.body, source, now_ms, policy)

    def joined(
        self, request: web.Request, route: str, parts: Sequence[Answer], body: bytes, policy: dict[str, str]
    ) -> web.Response:
        """An answer made of several: as of the oldest of them, from the farthest."""
        now_ms = self._now_ms()
        oldest = min((part.entry for part in parts), key=lambda entry: entry.as_of_ms)
        sources = (freshness.source_of(part.entry, part.tier, self._rules, now_ms) for part in parts)
        whole = Entry(
            body,
            "-".join(part.entry.etag for part in parts),
            oldest.as_of_ms,
            oldest.as_of,
            oldest.read_ms,
            trace=oldest.trace,
        )
        return self._made(request, route, whole, body, max(sources, key=_TIERS.index), now_ms, policy)

    def _made(
        self,
        request: web.Request,
        route: str,
        entry: Entry,
        body: bytes,
        source: str,
        now_ms: int,
        policy: dict[str, str],
    ) -> web.Response:
        age = freshness.age_ms(entry, now_ms) // 1000
        count, ages = self._metrics.answer(route, source)
        count.inc()
        ages.observe(age)
        etag = f'"{entry.etag}"'
        headers = {
            **policy,
            "ETag": etag,
            "Age": str(age),
            "Umbra-Source": source,
            "Umbra-As-Of": entry.as_of,
            "Umbra-Instance": self._instance,
        }
        if entry.trace is not None:
            headers["Umbra-Trace"] = entry.trace
        if _matches(request.headers.get("If-None-Match"), etag):
            del headers["Content-Type"]
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    def written(self, status: int, body: bytes, headers: dict[str, str], as_of_ms: int | None = None) -> web.Response:
        """The answer to a write: nobody's to keep, and true as of the call that wrote or found it, by default now."""
        now_ms = self._now_ms()
        at_ms = now_ms if as_of_ms is None else min(as_of_ms, now_ms)
        base = {"Content-Type": "application/json", "Cache-Control": "no-store", "Umbra-Instance": self._instance}
        age = str((now_ms - at_ms) // 1000)
        as_of = {"Umbra-Source": "live", "Umbra-As-Of": stamp(versions.moment(at_ms)), "Age": age}
        return web.Response(status=status, body=body, headers={**base, **as_of, **headers})

    def _now_ms(self) -> int:
        return versions.millis(self._clock.now())


def _matches(asked: str | None, etag: str) -> bool:
    """If-None-Match compares weakly; our tags hold no comma."""
    if asked is None:
        return False
    return (
        asked == etag or asked.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in asked.split(","))
    )
