"""One change through the whole stack, from the org to row, answer and stream. Each run is a stack of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.report import Metric

RUNS, QUICK_RUNS = 5, 3
PACKAGES = ("aiokafka", "faust-streaming", "asyncpg", "aiohttp")
_UNITS = {"row_ms": "ms", "gateway_ms": "ms", "sse_ms": "ms", "start_s": "s"}
_TARGETS = {"gateway_ms": 300, "sse_ms": 300}


def measure(*, quick: bool) -> list[Metric]:
    runs = [_one_run() for _ in range(QUICK_RUNS if quick else RUNS)]
    return [
        Metric(name=name, unit=unit, better="lower", ours=[run[name] for run in runs], target=_TARGETS.get(name))
        for name, unit in _UNITS.items()
    ]


def _one_run() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "services.ops", "smoke"], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result
