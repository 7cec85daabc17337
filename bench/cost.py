"""What Umbra spends of the Salesforce allowance, by the org's own counters: idle, at work, and for its reads.

A stack of its own; `--quick` is quiet for two minutes instead of an hour.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report import Metric

PACKAGES = ("aiokafka", "faust-streaming", "simple-salesforce")
_SETTLED_SECONDS = 10
_PER_TRANSACTION = 50


@dataclass(frozen=True, slots=True)
class Spent:
    """API calls by route, delivered events and Bulk jobs: of a whole run so far, or of a part of it."""

    calls: dict[str, int]
    events: int
    jobs: int

    def since(self, before: Spent) -> Spent:
        calls = {route: count - before.calls.get(route, 0) for route, count in self.calls.items()}
        return Spent(
            {route: count for route, count in calls.items() if count},
            self.events - before.events,
            self.jobs - before.jobs,
        )


@dataclass(frozen=True, slots=True)
class Stack:
    state_dir: Path
    control: str

    def umbra(self, *words: str) -> str:
        return _umbra(self.state_dir, *words)

    def ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.control + path, data, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def spent(self) -> Spent:
        state = self.ask("/state")
        return Spent(dict(state["rest_calls"]), sum(state["delivered_events"].values()), int(state["bulk_jobs"]))

    def of(self, part: Callable[[], object]) -> Spent:
        """What a part of the run spends, with what follows from it."""
        before = self.spent()
        part()
        time.sleep(_SETTLED_SECONDS)
        return self.spent().since(before)

    def change(self, count: int) -> None:
        """So many prices, one change event each."""
        standard = {book["Id"] for book in self.ask("/records/Pricebook2")["records"] if book["IsStandard"]}
        found = self.ask("/records/PricebookEntry")["records"]
        entries = [each["Id"] for each in found if each["Pricebook2Id"] not in standard and not each["IsDeleted"]]
        for start in range(0, count, _PER_TRANSACTION):
            numbers = range(start, min(count, start + _PER_TRANSACTION))
            self.ask("/transaction", {"operations": [_update(entries[n % len(entries)], n) for n in numbers]})


def measure(*, quick: bool) -> list[Metric]:
    quiet = 120 if quick else 3_600
    with _running() as stack:
        time.sleep(_SETTLED_SECONDS)
        parts = {
            f"quiet {'two minutes' if quick else 'hour'}": stack.of(lambda: time.sleep(quiet)),
            "1,000 changes": stack.of(lambda: stack.change(1_000)),
            "20,000 changes": stack.of(lambda: stack.change(20_000)),
            "nightly delta of all objects": stack.of(lambda: stack.umbra("delta", "--all", "--execute")),
            "full read of all objects": stack.of(lambda: stack.umbra("backfill", "--all", "--fresh", "--execute")),
        }
    for name, part in parts.items():
        print(f"{name}: {part.calls or 'no calls'}, {part.events} events, {part.jobs} Bulk jobs")
    return [metric for name, part in parts.items() for metric in _metrics(name, part)]


def _metrics(name: str, part: Spent) -> Iterator[Metric]:
    target = 2.0 if name.startswith("quiet") else None
    calls = [float(sum(part.calls.values()))]
    yield Metric(name=f"{name}, calls", unit="", better="lower", ours=calls, target=target)
    yield Metric(name=f"{name}, events", unit="", better="lower", ours=[float(part.events)])
    yield Metric(name=f"{name}, jobs", unit="", better="lower", ours=[float(part.jobs)])


def _update(entry: str, number: int) -> dict[str, object]:
    return {"op": "update", "object": "PricebookEntry", "id": entry, "fields": {"UnitPrice": 100 + number / 100}}


@contextmanager
def _running() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="umbra-bench-") as directory:
        state_dir = Path(directory)
        _umbra(state_dir, "up", "--detach", "--free-ports")
        try:
            yield Stack(state_dir, json.loads((state_dir / "state.json").read_text(encoding="utf-8"))["control"])
        finally:
            _umbra(state_dir, "down")


def _umbra(state_dir: Path, *words: str) -> str:
    command = [sys.executable, "-m", "services.ops", *words, "--state-dir", str(state_dir)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
