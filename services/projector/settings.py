"""Settings of the projector."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas import topics
from services.kernel.settings import (
    AdminSettings,
    KafkaSettings,
    PostgresSettings,
    ProcessSettings,
    ValkeySettings,
    at_least,
    setting,
)


def _are_objects(names: tuple[str, ...]) -> str | None:
    unknown = [name for name in names if name not in topics.RECORD_TOPICS]
    return f"{', '.join(unknown)}: none of {', '.join(topics.RECORD_TOPICS)}" if unknown else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    process: ProcessSettings
    kafka: KafkaSettings
    postgres: PostgresSettings
    valkey: ValkeySettings
    admin: AdminSettings
    mapping_file: Path | None = setting(
        default=None, doc="Field mapping of this org, instead of schemas/mapping.toml.", env="UMBRA_MAPPING_FILE"
    )
    projector_group: str = setting(
        default="umbra-projector",
        doc="Kafka consumer group. Workers of one group share its partitions; workers of other objects need another.",
    )
    projector_objects: tuple[str, ...] = setting(
        default=(),
        doc="Salesforce objects to project, all when empty. A hot object in a process of its own delays no other.",
        check=_are_objects,
    )
    projector_static_id: str | None = setting(
        default=None,
        doc="Static group membership: a restart under the same id stops only its own partitions. "
        "For workers with stable names that are restarted at once; never the same id twice.",
    )
    projector_session_seconds: float = setting(
        default=10.0,
        doc="After this time without a heartbeat a worker's partitions go to others; 30 with a static id.",
        check=at_least(6),
    )
    projector_batch_records: int = setting(
        default=500, doc="Most records in one transaction; more gains little and holds locks longer.", check=at_least(1)
    )
    projector_dead_letter_limit: int = setting(
        default=100,
        doc="Records that may be set aside within an hour; past it the worker stops instead of emptying a topic.",
        check=at_least(0),
    )
    projector_ledger_days: float = setting(
        default=60.0,
        doc="Days that the coverage ledger keeps history; not fewer than the log keeps records.",
        check=at_least(30),
    )
    projector_tombstone_days: float = setting(
        default=45.0,
        doc="Days after which a deleted record is forgotten: the log's retention (30), a segment that ends late (7), "
        "the longest job (7), and one to spare. Longer where the topics keep longer.",
        check=at_least(38),
    )

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics to read. Orders are made of two: their records and their statuses."""
        objects = self.projector_objects or tuple(topics.RECORD_TOPICS)
        names = [topic.name for name, topic in topics.RECORD_TOPICS.items() if name in objects]
        return (*names, topics.ORDER_STATUS.name) if "Order" in objects else tuple(names)
