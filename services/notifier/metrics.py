"""The notifier's metrics. No label is an order, an account or an address."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.kernel.metrics import FAST


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.streams = Gauge("notifier_streams", "Open streams, by kind (order, account).", ["kind"], registry=registry)
        self.connects = Counter(
            "notifier_connects_total",
            "Streams opened, by kind, by whether the client brought a cursor (first, again) and by verdict.",
            ["kind", "try", "resume"],
            registry=registry,
        )
        self.closes = Counter(
            "notifier_closes_total",
            "Streams closed, by reason (client, terminal, token, drain, stuck, log).",
            ["reason"],
            registry=registry,
        )
        self.turned_away = Counter(
            "notifier_turned_away_total",
            "Answers of 200 with a retry, by reason (overload, drain, starting, "
            "kafka, postgres, valkey, issuer, unknown).",
            ["reason"],
            registry=registry,
        )
        self.refused = Counter(
            "notifier_refused_total", "Answers that stop a client, by status.", ["status"], registry=registry
        )
        self.latency = Histogram(
            "notifier_log_to_socket_seconds",
            "From the log's timestamp of a status to its frame's write.",
            buckets=FAST,
            registry=registry,
        )
        self.healed = Counter(
            "notifier_gaps_healed_total", "Gaps closed by a late snapshot on a live stream.", registry=registry
        )
        self.poison = Counter(
            "notifier_undecodable_total", "Records of the status topic that could not be read.", registry=registry
        )
        self.ring_bytes = Gauge("notifier_ring_bytes", "Memory of the recent log, all partitions.", registry=registry)
        self.lag = Gauge(
            "notifier_lag_records",
            "Records between the log's end and this instance, all partitions.",
            registry=registry,
        )
