"""What repairs are counted by: object, why, and how it ended; never an id."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class RepairMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.repairs = Counter(
            "ingest_repairs_total",
            "Records read again and holes closed, by why and how it ended.",
            ["object", "reason", "outcome"],
            registry=registry,
        )
        self.reads = Counter(
            "ingest_repair_reads_total", "Calls that read records by id.", ["object"], registry=registry
        )
        self.postponed = Counter(
            "ingest_repairs_postponed_total",
            "Times that repairs of an object were put off, by why.",
            ["object", "reason"],
            registry=registry,
        )
        self.due = Gauge(
            "ingest_repair_due", "Records and holes that wait to be repaired.", ["object", "reason"], registry=registry
        )
