"""The gateway's metrics. No label is a record, an account or an address."""

from __future__ import annotations

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.kernel.metrics import FAST, SLOW


class Metrics:
    """What every request counts is looked up once: finding a label's counter costs more than counting."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.request = cache(self._request)
        self.answer = cache(self._answer)
        self._requests = Counter(
            "gateway_requests_total", "Requests by route and status.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "gateway_request_seconds",
            "From a request's headers to its whole answer.",
            ["route"],
            buckets=FAST,
            registry=registry,
        )
        self._answers = Counter(
            "gateway_answers_total",
            "Answers by route and by where they came from (process, valkey, shadow, live, stale).",
            ["route", "source"],
            registry=registry,
        )
        self._age = Histogram(
            "gateway_answer_age_seconds", "Age of what was answered.", ["route"], buckets=SLOW, registry=registry
        )
        self.live_reads = Counter(
            "gateway_live_reads_total",
            "Reads that went to Salesforce, by why (rule, forced, wait, absent, unshadowed, refresh) "
            "and how they ended (ok, failed, refused).",
            ["why", "outcome"],
            registry=registry,
        )
        self.fills = Counter(
            "gateway_cache_fills_total",
            "Fills of the shared cache: kept, refused (told meanwhile), away.",
            ["outcome"],
            registry=registry,
        )
        self.told = Counter(
            "gateway_near_drops_total",
            "Answers dropped from the process's memory because a tag was told.",
            registry=registry,
        )
        self.away = Counter(
            "gateway_dependency_away_total",
            "Calls that found a dependency away (valkey, postgres, kafka).",
            ["dependency"],
            registry=registry,
        )
        self.orders = Counter(
            "gateway_orders_total",
            "Orders by what became of them: placed, replayed, conflict, rejected, away, unknown.",
            ["outcome"],
            registry=registry,
        )
        self.statuses = Counter(
            "gateway_statuses_total",
            "Statuses of the fulfilment side: taken, late, unknown_order.",
            ["outcome"],
            registry=registry,
        )
        self.changes = Counter(
            "gateway_live_changes_total",
            "What live reads told the log: sent, failed, dropped.",
            ["outcome"],
            registry=registry,
        )

    def _request(self, route: str, status: int) -> tuple[Counter, Histogram]:
        """What counts and times a request."""
        return self._requests.labels(route, str(status)), self._seconds.labels(route)

    def _answer(self, route: str, source: str) -> tuple[Counter, Histogram]:
        """What counts an answer, and its age."""
        return self._answers.labels(route, source), self._age.labels(route)
