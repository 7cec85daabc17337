"""What the ingestor does with the machine: the stream and the backfill, beside their floors and peers."""

from __future__ import annotations

import asyncio

from bench.ingest import backfill, stream
from bench.report import Metric

PACKAGES = ("aiokafka", "grpcio", "fastavro", "msgspec")
_RUNS, _QUICK_RUNS = 5, 3
_SMALL, _LARGE = 50_000, 1_000_000


def measure(*, quick: bool) -> list[Metric]:
    runs = _QUICK_RUNS if quick else _RUNS
    found = asyncio.run(stream.measure(runs, backlog=5_000 if quick else 20_000, paced=250 if quick else 1_000))
    return found + asyncio.run(_backfill(runs, quick=quick))


async def _backfill(runs: int, *, quick: bool) -> list[Metric]:
    small = await backfill.measure(_SMALL, runs, beside=not quick)
    rate = Metric(
        name="backfill, rows to the log",
        unit="/s",
        better="higher",
        ours=small.ours,
        floor=small.floor,
        target=0.6,
        peers=small.peers,
    )
    if quick:
        return [rate]
    large = await backfill.measure(_LARGE, 1)
    grown = Metric(
        name=f"peak memory of {_LARGE:,} rows",
        unit="MiB",
        better="lower",
        ours=[large.peak_mib],
        floor=[small.peak_mib],
        target=1.25,
    )
    return [rate, grown]
