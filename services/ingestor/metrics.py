"""What the ingestor counts. Labels are Salesforce topics, object names and fixed words, never ids."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas import versions
from schemas.events import Watermark
from services.ingestor.batch import Batch
from services.kernel.metrics import FAST, SLOW


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.deliveries = Counter(
            "ingest_deliveries_total",
            "Events that Salesforce delivered, each one of the daily allowance.",
            ["topic"],
            registry=registry,
        )
        self.overlap = Counter(
            "ingest_overlap_deliveries_total",
            "Events delivered and thrown away, because another owner writes them or the commit was not known to be.",
            ["topic"],
            registry=registry,
        )
        self.changes = Counter(
            "ingest_changes_total",
            "Changes committed to the log, by what they are.",
            ["object", "kind"],
            registry=registry,
        )
        self.statuses = Counter(
            "ingest_statuses_total", "Order statuses committed to the log.", ["topic"], registry=registry
        )
        self.holes = Counter(
            "ingest_holes_total", "Ranges of which nothing is known, by why.", ["object", "reason"], registry=registry
        )
        self.dead_letters = Counter(
            "ingest_dead_letters_total", "Events that could not be decoded.", ["topic"], registry=registry
        )
        self.went_back = Counter(
            "ingest_positions_back_total",
            "Events of a position long passed; the stored position stays.",
            ["topic"],
            registry=registry,
        )
        self.repeated = Counter(
            "ingest_repeated_total",
            "Changes that Salesforce delivered again; left out where they are known to be in the log.",
            ["topic"],
            registry=registry,
        )
        self.inverted = Counter(
            "ingest_inversions_total",
            "Records marked dirty because their versions ran backward, or one version had two contents.",
            ["topic", "reason"],
            registry=registry,
        )
        self.unmapped = Counter(
            "ingest_unmapped_deliveries_total",
            "Events of objects that are not mapped: a channel carries them too.",
            ["topic"],
            registry=registry,
        )
        self.parked = Counter(
            "ingest_parked_total",
            "Times that a batch in hand waited for a schema that Salesforce did not hand out.",
            ["topic"],
            registry=registry,
        )
        self.commits = Histogram(
            "ingest_commit_seconds",
            "Time from an event's receipt to its commit.",
            ["topic"],
            buckets=FAST,
            registry=registry,
        )
        self.lag = Histogram(
            "ingest_lag_seconds",
            "Time from a change's commit in Salesforce (whole seconds) to its commit in the log.",
            ["topic"],
            buckets=SLOW,
            registry=registry,
        )
        self.disconnects = Counter(
            "ingest_disconnects_total", "Streams that ended, by why.", ["topic", "reason"], registry=registry
        )
        self.abandoned = Counter(
            "ingest_abandoned_total",
            "Times that an owner threw its work away, by why.",
            ["topic", "reason"],
            registry=registry,
        )
        self.heals = Counter(
            "ingest_heals_total",
            "Positions that Salesforce no longer knew, resumed from the earliest.",
            ["topic"],
            registry=registry,
        )
        self.owned = Gauge("ingest_owned", "Whether this process owns the topic.", ["topic"], registry=registry)
        self.runs_jobs = Gauge(
            "ingest_runs_jobs", "Whether this process runs what is repaired and scheduled.", registry=registry
        )
        self.covered = Gauge(
            "ingest_covered_until_timestamp_seconds",
            "Up to when, by the org's clock, the stream has brought everything into the log.",
            ["topic"],
            registry=registry,
        )

    def committed(self, topic: str, batch: Batch, org_now_ms: int) -> None:
        """A batch is in the log."""
        self.deliveries.labels(topic).inc(batch.deliveries)
        self.statuses.labels(topic).inc(len(batch.statuses))
        self.dead_letters.labels(topic).inc(len(batch.letters))
        self.went_back.labels(topic).inc(batch.went_back)
        self.repeated.labels(topic).inc(batch.repeated)
        self.inverted.labels(topic, "order").inc(batch.inverted)
        self.inverted.labels(topic, "content").inc(batch.contradicted)
        self.unmapped.labels(topic).inc(batch.unmapped)
        for change in batch.changes:
            self.changes.labels(change.object, change.kind).inc()
        for hole in batch.holes:
            self.holes.labels(hole.object, hole.hole_id.partition(":")[0] if hole.hole_id else "").inc()
        if batch.deliveries and batch.newest is not None:
            self.lag.labels(topic).observe(max(0, org_now_ms - versions.millis(batch.newest)) / 1000)

    def covers(self, topic: str, mark: Watermark) -> None:
        if mark.covered_until is not None:
            self.covered.labels(topic).set(mark.covered_until.timestamp())
