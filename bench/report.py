"""What every benchmark prints and writes: one table, one JSON document.

The floor is what the machine can do without Umbra, measured in the same run; a target is a ratio to the floor where
there is one, else a value. A peer that cannot be installed is listed as missing, never guessed.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

RESULTS = Path(__file__).parent / "results"
MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One line of the table: every measured value of ours, of the floor, and of each peer (none: not installed).

    target: a ratio to the floor where there is one, else in the metric's unit; `absolute` holds it to the unit anyway
    """

    name: str
    unit: str
    better: Literal["higher", "lower"]
    ours: Sequence[float]
    floor: Sequence[float] = ()
    target: float | None = None
    absolute: bool = False
    peers: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return statistics.median(self.ours)

    @property
    def ratio(self) -> float | None:
        """Ours to the floor, both as medians."""
        return self.value / statistics.median(self.floor) if self.floor else None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        reached = self.value if self.absolute or self.ratio is None else self.ratio
        return reached >= self.target if self.better == "higher" else reached <= self.target

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "value": _rounded(self.value),
            "min": _rounded(min(self.ours)),
            "max": _rounded(max(self.ours)),
            "floor": _rounded(statistics.median(self.floor)) if self.floor else None,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "target": self.target,
            "better": self.better,
            "peers": {name: _rounded(statistics.median(v)) if v else MISSING for name, v in self.peers.items()},
        }


def table(metrics: Iterable[Metric]) -> str:
    lines = [f"{'':<34}{'ours (median, min to max)':<38}{'floor':>10}{'ratio':>8}  target"]
    for metric in metrics:
        lines.append(_line(metric.document(), metric.met))
        peers = metric.document()["peers"].items()
        lines += [f"    {name:<30}{_shown(value)} {metric.unit if value != MISSING else ''}" for name, value in peers]
    return "\n".join(lines)


def _line(of: Mapping[str, Any], met: bool | None) -> str:
    ours = f"{_shown(of['value'])} {of['unit']} ({_shown(of['min'])} to {_shown(of['max'])})"
    target = "" if of["target"] is None else f"{of['target']:g}, {'met' if met else 'NOT MET'}"
    ratio = "" if of["ratio"] is None else f"{of['ratio']:.2f}"
    return f"{of['name']:<34}{ours:<38}{_shown(of['floor']):>10}{ratio:>8}  {target}"


def write(name: str, metrics: Sequence[Metric], packages: Iterable[str] = ()) -> Path:
    """The results of a run as `bench/results/NAME.json`."""
    document = {
        "machine": {"cores": os.cpu_count(), "system": platform.system(), "arch": platform.machine()},
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        "metrics": [metric.document() for metric in metrics],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share of all lies, without interpolation."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _rounded(value: float) -> float:
    return round(value) if abs(value) >= 100 else round(value, 2)


def _shown(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:,g}"
