"""The sandbox's own Avro agrees with fastavro and with the bytes a real org sent."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.salesforce import avro
from sandbox.salesforce.event_schema import HEADER, change_event, platform_event
from sandbox.salesforce.objects import ACCOUNT, OBJECTS, ORDER_STATUS

_REAL = json.loads((Path(__file__).parents[2] / "data" / "real-change-event.json").read_text())
_SCHEMA = change_event(ACCOUNT).json


def _header() -> dict[str, Any]:
    header, _ = avro.read(HEADER, bytes(_REAL["payload"]), 0, {})
    assert isinstance(header, dict)
    return header


def test_the_header_of_a_real_event_reads_as_it_says() -> None:
    header = _header()

    expected = {k: v for k, v in _REAL["expected"].items() if k in header}
    assert len(expected) == 10
    assert {k: header[k] for k in expected} == expected
    assert header["nulledFields"] == header["diffFields"] == []


def test_the_header_of_a_real_event_is_written_byte_for_byte() -> None:
    payload = bytes(_REAL["payload"])

    assert avro.writer(json.dumps(HEADER))(_header()) == payload[: len(payload) - 63]


def test_fields_after_a_real_header_read_as_it_says() -> None:
    payload = bytes(_REAL["payload"])
    rest = ["null"] * 6 + ["long"] + ["null"] * 5 + ["string"]
    at, values = len(payload) - 63, []
    for kind in rest:
        value, at = avro.read(["null", kind], payload, at, {})
        values.append(value)

    assert values == [None] * 6 + [1709303151000] + [None] * 5 + ["arstrast"]
    assert not any(payload[at:])


_text = st.none() | st.text(max_size=20)
_records = st.fixed_dictionaries(
    {
        "Name": _text,
        "LastModifiedDate": st.none() | st.integers(-(2**63), 2**63 - 1),
        "BillingAddress": st.none()
        | st.fixed_dictionaries({"Street": _text, "City": _text, "Latitude": st.none() | st.floats(allow_nan=False)}),
        "Credit_Status__c": _text,
    }
)


@given(_records)
def test_what_it_writes_fastavro_reads(fields: dict[str, Any]) -> None:
    header = _header() | {"commitNumber": 2**63 - 1, "changedFields": ["0x4A", "4-0x01"]}
    data = avro.writer(_SCHEMA)({"ChangeEventHeader": header, **fields})
    theirs = fastavro.schemaless_reader(io.BytesIO(data), fastavro.parse_schema(json.loads(_SCHEMA)), None)

    assert theirs == avro.reader(_SCHEMA)(data)
    assert isinstance(theirs, dict)
    assert theirs["ChangeEventHeader"] == header
    assert {k: theirs[k] for k in ("Name", "LastModifiedDate", "Credit_Status__c")} == {
        k: fields[k] for k in ("Name", "LastModifiedDate", "Credit_Status__c")
    }


@given(st.binary(max_size=60))
def test_any_other_bytes_are_refused_or_read_but_never_break_it(data: bytes) -> None:
    schema = platform_event(ORDER_STATUS).json
    try:
        record = avro.reader(schema)(data)
    except ValueError:
        return
    assert avro.reader(schema)(avro.writer(schema)(record)) == record


@pytest.mark.parametrize("name", [o.name for o in OBJECTS.values() if o.topic])
def test_schema_ids_are_22_characters_and_follow_the_content(name: str) -> None:
    schema = change_event(OBJECTS[name])
    other = schema.json.replace("LastModifiedDate", "LastModifiedMoment")

    assert len(schema.id) == 22
    assert schema.id == avro.schema_id(schema.json) != avro.schema_id(other)
    fastavro.parse_schema(json.loads(schema.json))


def test_the_schema_id_is_the_md5_fingerprint_fastavro_computes() -> None:
    canonical = fastavro.schema.to_parsing_canonical_form(json.loads(_SCHEMA))
    digest = bytes.fromhex(fastavro.schema.fingerprint(canonical, "MD5"))

    assert avro.schema_id(_SCHEMA) == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
