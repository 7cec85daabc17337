"""What the ingestor does with the machine: the stream and the backfill, beside their floors and peers."""

from __future__ import annotations

import asyncio

from bench.ingest import stream
from bench.report import Metric

PACKAGES = ("aiokafka", "grpcio", "fastavro", "msgspec")
_RUNS, _QUICK_RUNS = 5, 3


def measure(*, quick: bool) -> list[Metric]:
    runs = _QUICK_RUNS if quick else _RUNS
    return asyncio.run(stream.measure(runs, backlog=5_000 if quick else 20_000, paced=250 if quick else 1_000))
