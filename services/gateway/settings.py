"""Settings of the gateway."""

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
from services.salesforce.settings import SalesforceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    process: ProcessSettings
    admin: AdminSettings
    kafka: KafkaSettings
    postgres: PostgresSettings
    valkey: ValkeySettings
    auth: AuthSettings
    signing: SigningSettings
    salesforce: SalesforceSettings
    host: str = setting(default="127.0.0.1", doc="Address of the public listener.")
    port: int = setting(default=8080, doc="Port of the public listener; 0 takes a free one.", check=at_least(0))
    shadow_reads: bool = setting(
        default=False,
        env="ENABLE_SF_SHADOW_READS",
        doc="Answer from the shadow tables. Off, whatever no cache holds is read from Salesforce.",
    )
    pricebook: str = setting(
        default="",
        doc="Id or name of the price book that is sold from. A name costs one call to Salesforce, once for the fleet. "
        "Empty: the entries of every book are shown, and an order's price must be the only one in its currency.",
    )
    mapping_file: Path | None = setting(
        default=None, doc="Field mapping with the answers' names; the one in the package by default."
    )
    near_seconds: float = setting(
        default=1.0,
        doc="Life of an answer in the process's own memory, in seconds: the longest that a told change stays unseen.",
        check=at_least(0),
    )
    near_bytes: int = setting(default=67_108_864, doc="Memory for such answers, in bytes.", check=at_least(0))
    cache_seconds: float = setting(
        default=30.0,
        doc="Age of a cached answer at which it is read again from the shadow, though nothing has changed, in seconds: "
        "how old an answer may look while Salesforce is well.",
        check=at_least(0),
    )
    fresh_seconds: float = setting(
        default=900.0,
        doc="The freshness rule, in seconds: an older eligibility is read live, any older answer is marked stale.",
        check=at_least(1),
    )
    live_seconds: float = setting(
        default=4.0,
        doc="Longest wait for a live read before what is stored is served, in seconds.",
        check=at_least(0.1),
    )
    write_seconds: float = setting(
        default=12.0, doc="Longest wait for Salesforce to take an order, in seconds.", check=at_least(1)
    )
    wait_seconds: float = setting(
        default=2.0,
        doc="How long Umbra-Wait-For waits for the row before it reads live, in seconds.",
        check=at_least(0),
    )
    forced_per_minute: int = setting(
        default=6, doc="Live reads a minute that one caller may force by Umbra-Max-Staleness.", check=at_least(1)
    )
