"""Settings of the notifier."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.kernel.auth import AuthSettings
from services.kernel.settings import (
    AdminSettings,
    KafkaSettings,
    PostgresSettings,
    ProcessSettings,
    ValkeySettings,
    at_least,
    setting,
)
from services.kernel.signing import SigningSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    process: ProcessSettings
    admin: AdminSettings
    kafka: KafkaSettings
    postgres: PostgresSettings
    valkey: ValkeySettings
    auth: AuthSettings
    signing: SigningSettings
    host: str = setting(default="127.0.0.1", doc="Address of the public listener.")
    port: int = setting(default=8081, doc="Port of the public listener; 0 takes a free one.", check=at_least(0))
    mapping_file: Path | None = setting(
        default=None, doc="Field mapping with the statuses' meanings; the one in the package by default."
    )
    heartbeat_seconds: float = setting(
        default=15.0,
        doc="Time between two heartbeats of a stream, in seconds; below idle proxies' 30 or 60.",
        check=at_least(0.1),
    )
    ring_bytes: int = setting(
        default=67_108_864, doc="Memory for the recent log, in bytes, over all partitions.", check=at_least(65_536)
    )
    ring_window: int = setting(
        default=20_000,
        doc="Offsets of each partition read back at start: about what the memory holds.",
        check=at_least(1),
    )
    most_streams: int = setting(
        default=20_000, doc="Streams of this instance; above it, clients are told to come again.", check=at_least(1)
    )
    most_streams_per_account: int = setting(
        default=64, doc="Streams of one account on this instance: some tabs and devices.", check=at_least(1)
    )
    reconnect_seconds: float = setting(
        default=5.0,
        doc="Window over which the clients of an instance that dies come back, in seconds.",
        check=at_least(0.1),
    )
    drain_seconds: float = setting(
        default=5.0,
        doc="Window over which a stopping instance says goodbye, in seconds; below UMBRA_GRACE_SECONDS.",
        check=at_least(0),
    )
    allowed_origins: tuple[str, ...] = setting(
        default=(), doc="Other origins whose pages may open streams by ticket, for example https://shop.example."
    )
