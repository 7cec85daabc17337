"""Metrics of the projector. No label is a record or a person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.kernel.metrics import FAST, SLOW, Distribution


class Metrics:
    """Declared once per process on the registry that it is handed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "sf_shadow_sync_events_total",
            "Records of the log applied, each once, by topic and kind.",
            ("topic", "kind"),
            registry=registry,
        )
        self.failures = Counter(
            "sf_shadow_sync_failures_total",
            "Failures by stage: decode and apply (set aside), postgres (retried in place), tell (outbox collects).",
            ("stage",),
            registry=registry,
        )
        for stage in ("decode", "apply", "postgres", "tell"):
            self.failures.labels(stage)
        self.skipped = Counter(
            "projector_skipped_records_total", "Records that were applied before, dropped.", registry=registry
        )
        self.moved = Counter(
            "projector_changed_records_total", "Salesforce records whose state changed.", registry=registry
        )
        self.told = Counter("projector_told_tags_total", "Cache tags told.", registry=registry)
        self.batch = Histogram(
            "projector_batch_records",
            "Records per transaction.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=registry,
        )
        self.transaction = Histogram(
            "projector_transaction_seconds", "Time of one transaction.", buckets=FAST, registry=registry
        )
        self.freshness = Distribution(
            "projector_freshness_seconds",
            "From the commit in Salesforce to the row visible in Postgres, of change events, by topic.",
            ("topic",),
            buckets=SLOW,
            registry=registry,
        )
        self.log_to_row = Distribution(
            "projector_log_to_row_seconds",
            "From the record in the log to the row visible in Postgres.",
            buckets=FAST,
            registry=registry,
        )
        self.lag = Gauge(
            "shadow_lag_seconds",
            "MAX(now() - updated_at) of a shadow table: how old its oldest row is, which is no staleness.",
            ("table",),
            registry=registry,
        )
        self.backlog = Gauge(
            "projector_backlog_records", "Records in the log not applied yet, by topic.", ("topic",), registry=registry
        )
        self.outbox_age = Gauge(
            "projector_outbox_age_seconds", "Age of the oldest cache tags not told yet.", registry=registry
        )
        self.hidden = Gauge(
            "projector_hidden_records", "Records kept and not shown.", ("object", "reason"), registry=registry
        )
        self.hidden_age = Gauge(
            "projector_hidden_age_seconds",
            "Age of the oldest record kept and not shown.",
            ("object", "reason"),
            registry=registry,
        )
        self.tombstones = Gauge(
            "projector_tombstones",
            "Deleted records that are still remembered, so that nothing old brings them back.",
            ("object",),
            registry=registry,
        )
        self.forgotten = Counter(
            "projector_forgotten_records_total",
            "Deleted records that were forgotten: they are older than all that the log may still say of them.",
            ("object",),
            registry=registry,
        )
        self.coverage_lag = Gauge(
            "projector_coverage_lag_seconds",
            "How long ago an object's coverage ends, observed (stream) and proven (reads); infinite: it has none.",
            ("object", "kind"),
            registry=registry,
        )
        self.holes = Gauge(
            "projector_open_holes",
            "Ranges of an object of which nothing is known, by what made them.",
            ("object", "reason"),
            registry=registry,
        )
        self.hole_age = Gauge(
            "projector_hole_age_seconds",
            "Time since the end of the oldest open hole.",
            ("object", "reason"),
            registry=registry,
        )
        self.repairs = Gauge(
            "projector_repairs_due",
            "Records that have to be read again: dirty, or incomplete for two minutes.",
            ("object", "reason"),
            registry=registry,
        )
