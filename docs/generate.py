"""Write the pages that are made from the code: settings and metrics. A test fails when they have drifted."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from services.kernel.settings import Variable, variables

SERVICES = ("ingestor", "projector", "gateway", "notifier")
_PAGES = Path(__file__).parent / "operations"
_METRICS_HEAD = "\n## {title}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"
_KINDS = {"counter": "counter", "gauge": "gauge", "histogram": "histogram", "info": "info"}


def pages() -> Iterator[tuple[Path, str]]:
    yield _PAGES / "configuration.md", configuration()
    yield _PAGES / "metrics.md", metrics()
    yield _PAGES.parents[1] / ".env.example", example()


def settings_of(service: str) -> dict[str, Variable]:
    """Every environment variable of a service by name."""
    module: Any = importlib.import_module(f"services.{service}.settings")
    return {variable.name: variable for variable in variables(module.Settings)}


def configuration() -> str:
    parts = [
        "# Configuration\n",
        "Every setting is an environment variable; a command of `umbra` reads the same ones.\n"
        "A service names all bad ones at once when it starts; `python -m services.NAME --check` only checks.\n"
        "This page is made from the settings' own definitions by `make docs`.\n",
    ]
    parts += [_settings_table(service, settings_of(service).values()) for service in SERVICES]
    parts.append(_settings_table("umbra backfill", _rows_of("services.ops.backfill")))
    return "".join(parts)


def _rows_of(module: str) -> list[Variable]:
    """What a command reads beside what the services read."""
    known = {name for service in SERVICES for name in settings_of(service)}
    declared: Any = importlib.import_module(module)
    return [variable for variable in variables(declared.Settings) if variable.name not in known]


def _settings_table(title: str, found: Iterable[Variable]) -> str:
    head = f"\n## {title}\n\n| variable | type | default | what it does |\n|---|---|---|---|\n"
    return head + "".join(_setting_row(variable) for variable in found)


def _setting_row(variable: Variable) -> str:
    default = "required" if variable.default is None else f"`{variable.default}`" if variable.default else ""
    doc = variable.doc + (" Secret." if variable.secret else "")
    return f"| `{variable.name}` | {variable.type} | {default} | {_cell(doc)} |\n"


def example() -> str:
    """Every setting of every service once; those without a default stand without a comment mark."""
    found: dict[str, Variable] = {}
    for service in SERVICES:
        found |= settings_of(service)
    lines = ["# Copy to .env and fill in. docs/operations/configuration.md says which service reads what.\n"]
    for variable in found.values():
        mark = "" if variable.default is None else "# "
        lines.append(f"\n# {variable.doc}\n{mark}{variable.name}={variable.default or ''}\n")
    return "".join(lines)


def metrics() -> str:
    parts = [
        "# Metrics\n",
        "Each service serves them at `/metrics` on its admin port.\n"
        "No label is ever a record, an account or an address.\n"
        "This page is made from each service's `metrics.py` by `make docs`.\n",
    ]
    parts += [_METRICS_HEAD.format(title=name) + "".join(_metric_rows(name, "Metrics")) for name in SERVICES]
    for part, declared in (("repair", "RepairMetrics"), ("jobs", "JobMetrics")):
        title = f"ingestor, {part}: in the process that owns the jobs"
        parts.append(_METRICS_HEAD.format(title=title) + "".join(_metric_rows(f"ingestor.{part}", declared)))
    door = "the door to Salesforce, in ingestor and gateway"
    parts.append(_METRICS_HEAD.format(title=door) + "".join(_metric_rows("salesforce", "DoorMetrics")))
    return "".join(parts)


def _metric_rows(package: str, declared: str) -> Iterator[str]:
    module: Any = importlib.import_module(f"services.{package}.metrics")
    registry = CollectorRegistry()
    getattr(module, declared)(registry)
    # The registry keeps its collectors by name; only they know their labels.
    for collector in dict.fromkeys(registry._collector_to_names):
        described: Any = collector
        labels = ", ".join(f"`{label}`" for label in getattr(described, "_labelnames", ()))
        for family in described.describe():
            name = family.name + ("_total" if family.type == "counter" else "")
            yield f"| `{name}` | {_KINDS[family.type]} | {labels} | {_cell(family.documentation)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    for path, text in pages():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
