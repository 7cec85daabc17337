"""Bytes and schemas: a real org's event decodes to what its owner saw, and nothing else passes for an event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.salesforce.pubsub import avro, bitmaps, changes
from services.salesforce.pubsub.avro import SchemaCache, Undecodable
from services.salesforce.pubsub.bitmaps import Slot
from tests.unit.pubsub.events import ADDRESS, payload, schema

REAL = Path(__file__).parents[2] / "data" / "real-change-event.json"


@pytest.fixture
def real() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(REAL.read_text(encoding="utf-8"))
    return loaded


def _real_schema(fields: int) -> avro.EventSchema:
    """Nothing is known of the body but that every field is nullable, and that 7 is a long and 13 a string."""
    kinds = {f"F{i}": "long" if i == 7 else "string" for i in range(1, fields)}
    return schema("ActionVente__c", dict(kinds))


def test_real_event_decodes_to_what_its_owner_saw(real: dict[str, Any]) -> None:
    data = bytes(real["payload"])
    of = _real_schema(fields=len(_body(data)) + 1)

    event = of.decode(data)

    head = dict(event["ChangeEventHeader"])
    expected = {name: real["expected"][name] for name in head if name in real["expected"]}
    assert head == expected | {"nulledFields": [], "diffFields": []}
    set_fields = {name: value for name, value in event.items() if value is not None and name != "ChangeEventHeader"}
    assert set_fields == {"F7": real["expected"]["commitTimestamp"], "F13": "arstrast"}
    assert bitmaps.decode(head["changedFields"], of.layout) == {bitmaps.Path("F7"), bitmaps.Path("F13")}
    assert changes.header(event).commit_number == 1709303151782928388


def _body(data: bytes) -> list[object]:
    """The last 63 bytes as nullable fields: 0 is null, 2 begins a value; a long of 6 bytes and a string of 8."""
    found: list[object] = []
    rest = data[-63:]
    while rest:
        if rest[0] == 0:
            found, rest = [*found, None], rest[1:]
        else:
            size = 7 if len(found) == 6 else 10
            found, rest = [*found, rest[1:size]], rest[size:]
    return found


def test_replay_id_of_the_real_event_holds_its_number(real: dict[str, Any]) -> None:
    assert int.from_bytes(bytes(real["replay_id_bytes"])[:8], "big") == real["latest_replay_id_as_number"]


def test_bytes_left_over_are_no_event_of_this_schema() -> None:
    of = schema("Product2", {"Name": "string"})
    whole = payload(of, {"ChangeEventHeader": _HEADER, "Name": "x"})

    assert of.decode(whole)["Name"] == "x"
    with pytest.raises(Undecodable, match="left over"):
        of.decode(whole + b"\x00")


@pytest.mark.parametrize("cut", [0, 1, 5, -1])
def test_cut_bytes_are_undecodable(cut: int) -> None:
    of = schema("Product2", {"Name": "string"})
    whole = payload(of, {"ChangeEventHeader": _HEADER, "Name": "x"})

    with pytest.raises(Undecodable):
        of.decode(whole[:cut])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"type":"record"}', '{"type":"record","name":"X","fields":[{}]}', "7"]
)
def test_text_that_is_no_schema_is_undecodable(text: str) -> None:
    with pytest.raises(Undecodable):
        avro.parse("id", text)


def test_record_declared_once_gives_its_parts_wherever_it_is_named() -> None:
    of = schema("Account", {"BillingAddress": ADDRESS, "Phone": "string", "ShippingAddress": "Address"})

    parts = ("Street", "City", "PostalCode", "Latitude")
    assert of.layout == (
        Slot("ChangeEventHeader"),
        Slot("BillingAddress", parts),
        Slot("Phone"),
        Slot("ShippingAddress", parts),
    )


async def test_schema_is_fetched_once_for_each_id() -> None:
    fetched: list[str] = []

    async def fetch(schema_id: str) -> str:
        fetched.append(schema_id)
        return json.dumps({"type": "record", "name": schema_id, "fields": []})

    cache = SchemaCache(fetch)

    names = [(await cache.get(schema_id)).name for schema_id in ("A", "B", "A", "B")]

    assert (names, fetched) == (["A", "B", "A", "B"], ["A", "B"])


_HEADER = {
    "entityName": "Product2",
    "recordIds": [],
    "changeType": "UPDATE",
    "changeOrigin": "",
    "transactionKey": "",
    "sequenceNumber": 1,
    "commitTimestamp": 1,
    "commitNumber": 1,
    "commitUser": "",
    "nulledFields": [],
    "diffFields": [],
    "changedFields": [],
}
