"""`python -m bench path [--quick]`: one change through the whole stack, from the org to row, answer and stream.

Each run is a stack of its own (`umbra smoke`). Prints a table and writes `bench/results/path.json`. There is no
floor yet: the benchmarks of the single services bring theirs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

RUNS, QUICK_RUNS = 5, 3
METRICS = {"row_ms": "ms", "gateway_ms": "ms", "sse_ms": "ms", "start_s": "s"}
TARGETS = {"gateway_ms": 300, "sse_ms": 300}
RESULTS = Path(__file__).parent / "results"


def one_run() -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "services.ops", "smoke"], capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def summary(name: str, values: list[float]) -> dict[str, Any]:
    return {
        "name": name,
        "unit": METRICS[name],
        "value": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "floor": None,
        "target": TARGETS.get(name),
        "better": "lower",
        "peers": {},
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=["path"])
    parser.add_argument("--quick", action="store_true", help="three runs instead of five")
    args = parser.parse_args()
    runs = [one_run() for _ in range(QUICK_RUNS if args.quick else RUNS)]
    metrics = [summary(name, [run[name] for run in runs]) for name in METRICS]
    for each in metrics:
        target = "" if each["target"] is None else f"target {each['target']}"
        print(f"{each['name']:<12}{each['value']:>8} {each['unit']:<3} ({each['min']} to {each['max']})  {target}")
    machine = {"cores": os.cpu_count(), "system": platform.system(), "arch": platform.machine()}
    document = {"machine": machine, "versions": {"python": platform.python_version()}, "metrics": metrics}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{args.name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
