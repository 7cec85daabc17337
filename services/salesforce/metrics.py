"""Metrics of the door, on the registry of the process that opened it."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.kernel.metrics import SLOW
from services.salesforce.answers import Usage
from services.salesforce.calls import CallClass
from services.salesforce.slots import Slots

LOGIN = "login"


class DoorMetrics:
    """Labels hold routes, classes and outcomes only."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("route", "call_class")
        self._requests = Counter(
            "salesforce_requests_total",
            "HTTP requests to Salesforce by how they ended; every try counts.",
            (*labels, "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "salesforce_request_seconds",
            "Time of one HTTP request to Salesforce, without the wait for its turn.",
            labels,
            buckets=SLOW,
            registry=registry,
        )
        self._withheld = Counter(
            "salesforce_calls_withheld_total",
            "Calls that were not sent: the budget's reasons, queue_full, deadline, away.",
            ("call_class", "reason"),
            registry=registry,
        )
        self._waiting = Gauge(
            "salesforce_calls_waiting", "Calls that wait for their turn.", ("call_class",), registry=registry
        )
        self._running = Gauge("salesforce_calls_running", "Calls under way.", registry=registry)
        self._used = Gauge(
            "salesforce_daily_api_usage", "API calls of the org in 24 hours, by the newest answer.", registry=registry
        )
        self._max = Gauge("salesforce_daily_api_limit", "API calls that the org has in 24 hours.", registry=registry)

    def watch(self, slots: Slots) -> None:
        self._running.set_function(lambda: slots.running)
        for call_class in CallClass:
            self._waiting.labels(call_class.label).set_function(partial(slots.waiting, call_class))

    def request(self, route: str, call_class: CallClass, outcome: str, seconds: float) -> None:
        self._requests.labels(route, call_class.label, outcome).inc()
        self._seconds.labels(route, call_class.label).observe(seconds)

    def login(self, outcome: str, seconds: float) -> None:
        self._requests.labels(LOGIN, "", outcome).inc()
        self._seconds.labels(LOGIN, "").observe(seconds)

    def withheld(self, call_class: CallClass, reason: str) -> None:
        self._withheld.labels(call_class.label, reason).inc()

    def usage(self, usage: Usage) -> None:
        self._used.set(usage.used)
        self._max.set(usage.max)
