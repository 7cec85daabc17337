"""What jobs work with, and how they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from schemas.mapping import StatusMapping
from services.kernel.clock import Clock
from services.kernel.settings import KafkaSettings
from services.salesforce.bulk import Bulk
from services.salesforce.rest import Rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a job works with.

    dsn: empty where there is no shadow to compare with
    job_seconds: longest wait for Salesforce to finish a job and for its pages; margin_ms: M
    """

    kafka: KafkaSettings
    rest: Rest
    bulk: Bulk
    dsn: str
    statuses: StatusMapping
    margin_ms: int
    job_seconds: float
    clock: Clock


Why = Literal[
    "budget", "limit", "deadline", "mismatch", "fenced", "salesforce", "postgres", "log", "mapping", "unproven"
]
"""Why a job is PARTIAL. budget: withheld for more urgent calls, before it was sent; limit: Salesforce refused for its
limits; mismatch: counts disagree; fenced: another process runs the job; unproven: too much lies behind for this job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended. rows: in the log; counted: by SOQL before and after; token: resumes it when PARTIAL.

    absent: records that are gone, of those in `rows`; closed: holes
    """

    object: str
    state: Literal["COMPLETE", "PARTIAL"]
    rows: int = 0
    absent: int = 0
    job_id: str | None = None
    counted: tuple[int, int] | None = None
    closed: tuple[str, ...] = ()
    why: Why | None = None
    reason: str | None = None
    token: str | None = None


Watch = Callable[[str, int, int], None]
"""Told object, rows in the log, and rows in all, after each transaction."""
