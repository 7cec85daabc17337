"""deploy/salesforce gives an org exactly what the default mapping and the order door need, and lets the user see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sandbox.salesforce import objects as simulated
from schemas import mapping, topics
from services.gateway import ordering
from services.gateway.answers import NewOrder
from services.salesforce.settings import SalesforceSettings

PROJECT = Path(__file__).resolve().parents[3] / "deploy" / "salesforce"
MAIN = PROJECT / "force-app" / "main" / "default"
MAPPING = mapping.load()
EVENT = MAPPING.order_status.event["object"]
OF_ORDERING = {"Order": {ordering.KEY_FIELD, ordering.HASH_FIELD}}
TYPES: dict[str, set[str]] = {
    "text": {"Text", "Picklist", "TextArea", "LongTextArea"},
    "boolean": {"Checkbox"},
    "decimal": {"Currency", "Number", "Percent"},
    "integer": {"Number"},
    "date": {"Date"},
    "datetime": {"DateTime"},
    "id": {"Lookup", "MasterDetail"},
}


def _content(element: ElementTree.Element) -> Any:
    """Text of a leaf; of a parent its children by name, each in a list."""
    if len(element) == 0:
        return element.text or ""
    found: dict[str, list[Any]] = {}
    for child in element:
        found.setdefault(child.tag.rpartition("}")[2], []).append(_content(child))
    return found


def _read(path: Path) -> dict[str, list[Any]]:
    content: dict[str, list[Any]] = _content(ElementTree.parse(path).getroot())  # noqa: S314 - our own file
    return content


def _fields(object_name: str) -> dict[str, dict[str, list[Any]]]:
    files = (MAIN / "objects" / object_name / "fields").glob("*.field-meta.xml")
    return {file.name.removesuffix(".field-meta.xml"): _read(file) for file in files}


def _mapped(object_name: str) -> set[str]:
    return {name for name in MAPPING.objects[object_name].fields if name.endswith("__c")}


def _needed(object_name: str) -> set[str]:
    return _mapped(object_name) | OF_ORDERING.get(object_name, set())


def _event_fields() -> set[str]:
    return set(MAPPING.order_status.event.values()) - {EVENT}


def _permissions() -> dict[str, list[Any]]:
    return _read(MAIN / "permissionsets" / "Umbra_Integration.permissionset-meta.xml")


def _by(key: str, entries: list[dict[str, list[str]]]) -> dict[str, dict[str, str]]:
    flat = [{name: values[0] for name, values in entry.items()} for entry in entries]
    assert len({entry[key] for entry in flat}) == len(flat)
    return {entry[key]: entry for entry in flat}


def test_objects_of_the_project_are_those_with_fields_of_ours() -> None:
    wanted = {name for name in MAPPING.objects if _needed(name)} | {EVENT}

    assert {folder.name for folder in (MAIN / "objects").iterdir()} == wanted


@pytest.mark.parametrize("object_name", MAPPING.objects)
def test_an_object_gets_the_custom_fields_of_the_mapping_and_no_others(object_name: str) -> None:
    assert set(_fields(object_name)) == _needed(object_name)


@pytest.mark.parametrize("object_name", MAPPING.objects)
def test_a_mapped_field_has_a_type_that_its_values_can_be_read_as(object_name: str) -> None:
    fields = _fields(object_name)

    for name in _mapped(object_name):
        assert fields[name]["type"][0] in TYPES[MAPPING.objects[object_name].fields[name].type], name


@pytest.mark.parametrize("object_name", [*MAPPING.objects, EVENT])
def test_a_field_is_called_as_its_file_and_is_never_required(object_name: str) -> None:
    for name, field in _fields(object_name).items():
        assert field["fullName"] == [name]
        assert field["required"] == ["false"]


def test_only_the_idempotency_key_is_unique_and_it_holds_a_whole_hash() -> None:
    found = ordering.identity("001000000000001AAA", "key", NewOrder(lines=[], currency="JPY"))
    fields = _fields("Order")
    key, digest = fields[ordering.KEY_FIELD], fields[ordering.HASH_FIELD]

    assert [key[name] for name in ("type", "unique", "externalId", "caseSensitive")] == [
        ["Text"],
        ["true"],
        ["true"],
        ["true"],
    ]
    assert int(key["length"][0]) == len(found.external)
    assert int(digest["length"][0]) == len(found.digest)
    others = [field for name in MAPPING.objects for field in _fields(name).values() if field is not key]
    assert [f["fullName"] for f in others if f["unique"] == ["true"]] == [[ordering.KEY_FIELD]]


def test_the_event_has_the_fields_of_the_mapping_and_follows_the_commit() -> None:
    event = _read(MAIN / "objects" / EVENT / f"{EVENT}.object-meta.xml")
    fields, roles = _fields(EVENT), MAPPING.order_status.event

    assert event["eventType"] == ["HighVolume"]
    assert event["publishBehavior"] == ["PublishAfterCommit"]
    assert set(fields) == _event_fields()
    assert fields[roles["occurred_at"]]["type"] == ["DateTime"]
    assert [fields[roles[role]]["length"] for role in ("order_id", "account_id")] == [["18"], ["18"]]


def test_the_user_sees_every_custom_field_and_writes_those_of_ordering_alone() -> None:
    found = _by("field", _permissions()["fieldPermissions"])

    wanted = {f"{name}.{field}" for name in MAPPING.objects for field in _needed(name)}
    assert set(found) == wanted
    assert {entry["readable"] for entry in found.values()} == {"true"}
    written = {field for field, entry in found.items() if entry["editable"] == "true"}
    assert written == {f"{name}.{field}" for name, fields in OF_ORDERING.items() for field in fields}


def test_the_user_reads_what_is_shadowed_inserts_orders_and_deletes_nothing() -> None:
    found = _by("object", _permissions()["objectPermissions"])

    # Price book entries have no permission of their own: they follow product and price book.
    assert set(found) == (set(MAPPING.objects) - {"PricebookEntry"}) | {"Pricebook2", EVENT}
    assert {entry["allowRead"] for entry in found.values()} == {"true"}
    assert {name for name, entry in found.items() if entry["allowCreate"] == "true"} == {"Order"}
    assert {name for name, entry in found.items() if entry["allowEdit"] == "true"} == {"Order"}
    assert {name for name, entry in found.items() if entry["viewAllRecords"] == "true"} == {"Account", "Order"}
    assert {entry[right] for entry in found.values() for right in ("allowDelete", "modifyAllRecords")} == {"false"}


def test_no_personal_object_is_opened_as_a_whole() -> None:
    found = _by("object", _permissions()["objectPermissions"])

    assert {name for name, entry in found.items() if entry["viewAllFields"] == "true"} == {"Product2"}


def test_every_topic_that_is_streamed_is_selected_and_no_other() -> None:
    folder = MAIN / "platformEventChannelMembers"
    members = {file.name.partition(".")[0]: _read(file) for file in folder.iterdir()}

    selected = {member["selectedEntity"][0] for member in members.values()}
    assert {f"/data/{entity}" for entity in selected} | {f"/event/{EVENT}"} == set(topics.SALESFORCE_TOPICS)
    assert {name: member["eventChannel"] for name, member in members.items()} == {
        f"ChangeEvents_{entity}": ["ChangeEvents"] for entity in selected
    }


def test_the_project_speaks_the_api_version_of_the_services() -> None:
    project = json.loads((PROJECT / "sfdx-project.json").read_text(encoding="utf-8"))
    default = SalesforceSettings.__dataclass_fields__["salesforce_api_version"].default

    assert project["sourceApiVersion"] == default
    assert [each["path"] for each in project["packageDirectories"]] == ["force-app", "order-status-flow"]
    assert all((PROJECT / each["path"]).is_dir() for each in project["packageDirectories"])


def test_the_flow_publishes_a_changed_status_and_cannot_keep_an_order_from_being_saved() -> None:
    flow = _read(PROJECT / "order-status-flow/main/default/flows/Umbra_Publish_Order_Status.flow-meta.xml")
    start, create = flow["start"][0], flow["recordCreates"][0]
    told = {entry["field"][0]: entry["value"][0]["elementReference"][0] for entry in create["inputAssignments"]}

    roles = MAPPING.order_status.event
    assert (start["object"], start["triggerType"]) == (["Order"], ["RecordAfterSave"])
    assert (start["filters"][0]["field"], start["filters"][0]["operator"]) == (["Status"], ["IsChanged"])
    assert create["object"] == [EVENT]
    assert "faultConnector" in create
    assert told == {
        roles["order_id"]: "$Record.Id",
        roles["account_id"]: "$Record.AccountId",
        roles["status"]: "$Record.Status",
        roles["occurred_at"]: "$Record.LastModifiedDate",
    }


@pytest.mark.parametrize("object_name", MAPPING.objects)
def test_the_simulator_stands_for_an_org_that_has_the_project(object_name: str) -> None:
    known = simulated.OBJECTS[object_name].by_name

    for name, field in _fields(object_name).items():
        assert known[name].unique is (field["unique"] == ["true"])
        assert known[name].length >= (int(field["length"][0]) if known[name].type == "string" else 0)
    assert {f.name for f in simulated.PLATFORM_EVENTS[EVENT].fields} == set(_fields(EVENT))
