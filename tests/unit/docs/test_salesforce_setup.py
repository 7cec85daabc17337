"""The way to a real org names only what is there: files, settings, commands, checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import SERVICES, settings_of
from services.ops.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "salesforce-setup.md").read_text(encoding="utf-8")
PROJECT = ROOT / "deploy" / "salesforce"
SAID = [GUIDE, *(path.read_text(encoding="utf-8") for path in (ROOT / "services/ops/checks").glob("*.py"))]
_OF_DOCTOR_ONLY = {"UMBRA_SALESFORCE_CLIENT_"}  # completed where it is used


def test_every_setting_that_is_named_exists() -> None:
    known = {name for service in SERVICES for name in settings_of(service)}

    named = {name for text in SAID for name in re.findall(r"UMBRA_[A-Z_]+", text)}
    assert named - known - _OF_DOCTOR_ONLY == set()


def test_every_command_that_is_named_exists() -> None:
    known = {command.name for command in COMMANDS}

    assert set(re.findall(r"\bumbra ([a-z]+)", GUIDE)) - known == set()


@pytest.mark.parametrize("target", re.findall(r"\]\((\.\./[^)]+)\)", GUIDE))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / "docs" / target).exists()


def test_what_is_deployed_is_in_the_project() -> None:
    folders = set(re.findall(r"--source-dir (\S+)", GUIDE)) | {"force-app/main/default/platformEventChannelMembers"}

    assert all((PROJECT / folder).is_dir() for folder in folders)
    assert (PROJECT / "force-app/main/default/permissionsets/Umbra_Integration.permissionset-meta.xml").exists()


def test_the_readme_leads_to_the_guide() -> None:
    assert "(docs/salesforce-setup.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
