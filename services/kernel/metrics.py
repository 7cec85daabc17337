"""Metrics: each service declares its own in its `metrics.py` on a registry that it is handed.

Names carry their unit; no label is ever a record id, an account or anything else of a person.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_LATEST

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Buckets, in seconds, of what should take milliseconds."""

SLOW = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0)
"""Buckets, in seconds, of what may wait for Salesforce or for an outage to end."""


def registry() -> CollectorRegistry:
    """A registry of this process's own, with the process's memory and CPU in it."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    return made


def exposition(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)


class Distribution(Collector):
    """A histogram that takes the values of a whole batch at once: one by one they would cost more than the work."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._documentation, self._labelnames = name, documentation, labels
        self._bounds = tuple(buckets)
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def observe(self, values: Iterable[float], *labels: str) -> None:
        counts = self._counts.setdefault(labels, [0] * (len(self._bounds) + 1))
        total = 0.0
        for value in values:
            counts[bisect_left(self._bounds, value)] += 1
            total += value
        self._sums[labels] = self._sums.get(labels, 0.0) + total

    def describe(self) -> Iterable[Metric]:
        return (HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames),)

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for labels, counts in self._counts.items():
            family.add_metric(labels, list(zip(names, accumulate(counts), strict=True)), self._sums[labels])
        yield family
