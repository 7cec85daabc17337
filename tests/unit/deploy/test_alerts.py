"""Every alert reads metrics that exist, by labels that they have, and has a runbook that names only what there is."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from docs import generate
from services.ops.commands import COMMANDS
from tests.support import promql

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
DECLARED = {
    "services.ingestor.metrics": "Metrics",
    "services.ingestor.jobs.metrics": "JobMetrics",
    "services.ingestor.repair.metrics": "RepairMetrics",
    "services.projector.metrics": "Metrics",
    "services.gateway.metrics": "Metrics",
    "services.notifier.metrics": "Metrics",
    "services.salesforce.metrics": "DoorMetrics",
}
SEVERITIES = {"warning", "critical"}
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def metrics() -> dict[str, set[str]]:
    """Labels of every series that the services export, by its name."""
    found: dict[str, set[str]] = {}
    for module, declared in DECLARED.items():
        registry = CollectorRegistry()
        getattr(importlib.import_module(module), declared)(registry)
        for collector in dict.fromkeys(registry._collector_to_names):
            described: Any = collector
            for family in described.describe():
                for suffix in _SUFFIXES[family.type]:
                    found[family.name + suffix] = set(described._labelnames)
    return found


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


METRICS = metrics()
ALERTS = alerts()
PAGES = sorted(RUNBOOKS.glob("*.md"))


def by_name(rule: dict[str, Any]) -> str:
    return str(rule["alert"])


@pytest.mark.parametrize("rule", ALERTS, ids=by_name)
def test_alert_reads_metrics_that_exist_by_labels_that_they_have(rule: dict[str, Any]) -> None:
    expression = promql.read(rule["expr"])

    assert expression.metrics.keys() <= METRICS.keys()
    for name, labels in expression.metrics.items():
        assert labels | expression.grouped <= METRICS[name]


@pytest.mark.parametrize("rule", ALERTS, ids=by_name)
def test_alert_says_what_it_is_about_by_labels_that_are_left(rule: dict[str, Any]) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))

    assert used <= promql.read(rule["expr"]).grouped
    assert rule["labels"]["severity"] in SEVERITIES
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


@pytest.mark.parametrize("rule", ALERTS, ids=by_name)
def test_alert_has_a_runbook_of_its_name(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL))

    assert anchor == rule["alert"].lower()
    for heading in ("Meaning:", "Impact:", "Diagnosis:", "Mitigation:"):
        assert heading in sections[rule["alert"]]


def test_alerts_have_names_of_their_own_and_every_runbook_an_alert() -> None:
    names = [rule["alert"] for rule in ALERTS]
    sections = [name for page in PAGES for name in re.findall(r"^## (\w+)$", page.read_text(), re.MULTILINE)]

    assert sorted(names) == sorted(sections)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_runbook_names_only_metrics_settings_and_commands_that_exist(page: Path) -> None:
    text = page.read_text()
    settings = {name for service in generate.SERVICES for name in generate.settings_of(service)}
    named = set(re.findall(r"`((?:ingest|projector|salesforce|sf)_\w+)[`{]", text)) - {"sf_hidden"}

    assert named <= METRICS.keys() | {name.removesuffix("_sum") for name in METRICS}
    assert set(re.findall(r"UMBRA_[A-Z_]+", text)) <= settings
    assert set(re.findall(r"`umbra (\w+)", text)) <= {command.name for command in COMMANDS}


@pytest.mark.parametrize("text", ["max(a", "a)", "sum by (b a", 'a{b="c"', "sum a", "a ? b"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(promql.Malformed):
        promql.read(text)
