"""Settings of the ingestor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas import topics, versions
from services.ingestor.jobs.timetable import ScheduleSettings
from services.kernel.settings import (
    AdminSettings,
    KafkaSettings,
    ProcessSettings,
    ValkeySettings,
    at_least,
    setting,
)
from services.salesforce.settings import SalesforceSettings

_OF_THE_CHANNEL = tuple(name for name in topics.SALESFORCE_TOPICS if name.startswith("/data/"))


def _known(names: tuple[str, ...]) -> str | None:
    known = (*topics.SALESFORCE_TOPICS, topics.CHANNEL)
    if unknown := [name for name in names if name not in known]:
        return f"{', '.join(unknown)}: not known here; known are {', '.join(known)}"
    if twice := [name for name in names if topics.CHANNEL in names and name in _OF_THE_CHANNEL]:
        return f"{topics.CHANNEL} carries what {', '.join(twice)} would deliver once more"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """What is streamed, and when a stream is given up."""

    stream_enabled: bool = setting(
        default=False, doc="Whether to consume from Pub/Sub: the last step of a rollout, after tables and backfill."
    )
    stream_topics: tuple[str, ...] = setting(
        default=topics.SALESFORCE_TOPICS,
        check=_known,
        doc="Salesforce topics to stream, the same in the whole fleet; /data/ChangeEvents in place of all /data/ ones.",
    )
    stream_group: str = setting(
        default="umbra-ingestor", doc="Kafka consumer group whose members share the topics among them."
    )
    stream_session_seconds: float = setting(
        default=6.0,
        check=at_least(6),
        doc="Silence, in seconds, after which an owner is taken for dead; the broker's own least is 6.",
    )
    stream_silent_warn_seconds: float = setting(
        default=150.0, check=at_least(0.1), doc="Silence of a stream, in seconds, that is worth a warning."
    )
    stream_silent_seconds: float = setting(
        default=300.0,
        check=at_least(0.2),
        doc="Silence of a stream, in seconds, after which it is torn down; keepalives come within 270.",
    )
    stream_dead_letters: int = setting(
        default=100, check=at_least(0), doc="Undecodable events in a row, past which the process stops."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairSettings:
    """What the owner of the jobs does by itself."""

    postgres_dsn: str = setting(
        default="",
        secret=True,
        doc="PostgreSQL connection URI of a role that may read: what has to be repaired. Without it nothing is.",
    )
    read_margin_ms: int = setting(
        default=versions.DEFAULT_MARGIN_MS,
        check=at_least(5000),
        doc="M: how far before its own start a read proves, in milliseconds. A greater one is always safe.",
    )
    repair_look_seconds: float = setting(
        default=5.0, check=at_least(0.1), doc="Longest pause between two looks at what has to be repaired, in seconds."
    )
    repair_first_seconds: float = setting(
        default=900.0,
        check=at_least(0),
        doc="How long the hole of a first start is left to a backfill that a person runs, in seconds.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    process: ProcessSettings
    admin: AdminSettings
    kafka: KafkaSettings
    valkey: ValkeySettings
    salesforce: SalesforceSettings
    stream: StreamSettings
    repair: RepairSettings
    schedule: ScheduleSettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")
