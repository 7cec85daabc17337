"""What jobs count. Labels are objects, kinds and fixed words."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.ingestor.jobs.means import Outcome

_SECONDS = (1, 5, 15, 60, 300, 900, 3_600, 14_400)


class JobMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("object", "kind")
        self._runs = Counter(
            "ingest_job_runs_total",
            "Deltas and full reads by how they ended: complete, or why not.",
            (*labels, "outcome"),
            registry=registry,
        )
        self._rows = Counter(
            "ingest_job_rows_total", "Records that deltas and full reads put into the log.", labels, registry=registry
        )
        self._absent = Counter(
            "ingest_job_absent_total", "Records that they found gone without an event.", labels, registry=registry
        )
        self._seconds = Histogram(
            "ingest_job_seconds", "Time of a delta or full read.", labels, buckets=_SECONDS, registry=registry
        )
        self._complete = Gauge(
            "ingest_job_complete_timestamp_seconds",
            "When an object's delta or full read was last complete.",
            labels,
            registry=registry,
        )

    def ended(self, kind: str, outcome: Outcome, seconds: float) -> None:
        labels = (outcome.object, kind)
        self._runs.labels(*labels, outcome.why or "complete").inc()
        self._rows.labels(*labels).inc(outcome.rows)
        self._absent.labels(*labels).inc(outcome.absent)
        self._seconds.labels(*labels).observe(seconds)

    def complete(self, object_name: str, kind: str, timestamp: float) -> None:
        self._complete.labels(object_name, kind).set(timestamp)
