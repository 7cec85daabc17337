"""What the projector does with Kafka and Postgres, beside a bare loop that does the same reads and writes."""

from __future__ import annotations

import asyncio

from bench.projector import rates
from bench.report import Metric

PACKAGES = ("aiokafka", "faust-streaming", "asyncpg", "msgspec")


def measure(*, quick: bool) -> list[Metric]:
    return asyncio.run(rates.measure(3 if quick else 5, 60_000 if quick else 200_000))
