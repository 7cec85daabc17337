"""docker-compose.yml describes the stack that the code defines: its settings, its processes, its topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate import settings_of
from sandbox.stack import layout

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
INSTANCES = ("ingestor", "projector", *layout.GATEWAYS, *layout.NOTIFIERS)
ANYWHERE = {"UMBRA_LOG_FORMAT", "UMBRA_ADMIN_HOST"}


def _environment(name: str) -> set[str]:
    return set(SERVICES[name]["environment"])


def _kind(instance: str) -> str:
    return instance.partition("-")[0]


@pytest.mark.parametrize("instance", INSTANCES)
def test_a_service_is_given_only_settings_that_it_has(instance: str) -> None:
    assert _environment(instance) <= set(settings_of(_kind(instance)))


@pytest.mark.parametrize("instance", INSTANCES)
def test_a_service_is_given_every_setting_that_it_needs(instance: str) -> None:
    needed = {name for name, variable in settings_of(_kind(instance)).items() if variable.default is None}

    assert needed <= _environment(instance)


@pytest.mark.parametrize("instance", INSTANCES)
def test_a_service_is_built_as_its_own_image(instance: str) -> None:
    assert SERVICES[instance]["build"]["args"]["SERVICE"] == _kind(instance)


def test_the_simulator_is_told_the_credentials_that_its_clients_bring() -> None:
    words = SERVICES["salesforce"]["command"]
    given = {name: words[words.index(name) + 1] for name in ("--client-id", "--client-secret")}
    brought = SERVICES["ingestor"]["environment"]

    assert given["--client-id"] == brought["UMBRA_SALESFORCE_CLIENT_ID"]
    assert given["--client-secret"] == brought["UMBRA_SALESFORCE_CLIENT_SECRET"]


def test_topics_come_from_their_definition_alone() -> None:
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert SERVICES["migrate"]["command"] == ["migrate"]
    for instance in INSTANCES:
        assert SERVICES[instance]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_nothing_but_the_front_port_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"front": ["127.0.0.1:8080:8080"]}


def test_every_setting_of_every_service_stands_in_the_example_file() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    listed = {line.lstrip("# ").partition("=")[0] for line in text.splitlines() if "=" in line}

    assert listed == {
        name for service in ("ingestor", "projector", "gateway", "notifier") for name in settings_of(service)
    }
