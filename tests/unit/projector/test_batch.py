"""Decoding: what can never be used is set aside with a reason, and the reason tells no value."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schemas import topics
from schemas.events import RecordChange
from services.projector.batch import Key, decode_all, fold
from services.projector.log import LogRecord, Place
from tests.integration.projector.harness import MAPPING, Log, change, entry, product, sf_id, snapshot, status

PRODUCTS = Place(topics.PRODUCT.name, 0)


def faults(*records: LogRecord) -> list[str | None]:
    return [each.fault for each in decode_all(records, MAPPING)]


def raw(value: bytes | None, key: bytes | None = b"k", place: Place = PRODUCTS) -> LogRecord:
    return LogRecord(place, 0, 0, 0, key, value)


def as_record(event: RecordChange, **override: Any) -> LogRecord:
    body = msgspec.to_builtins(event) | override
    return raw(msgspec.json.encode(body), key=event.record_id.encode())


def timeless() -> bytes:
    said = {"kind": "watermark", "object": "Product2", "basis": "stream", "origin": "cdc"}
    return msgspec.json.encode({**said, "covered_until": "2026-11-02T03:04:05"})


def test_good_records_have_no_fault() -> None:
    log = Log()

    assert faults(*log.append(product(1, "A"), entry(1, of=1), status(1, "Draft"))) == [None] * 3


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        (raw(None), "it has no value"),
        (raw(b"\xff\xfe"), "it does not decode"),
        (raw(b"{}"), "it does not decode"),
        (raw(b'{"kind":"watermark","object":"Account","basis":"stream","origin":"cdc"}'), "another object"),
        (as_record(product(1, "A"), object="Account"), "another object"),
        (raw(timeless()), "its time has no zone"),
        (as_record(product(1, "A"), version="12"), "its version is malformed"),
        (as_record(product(1, "A"), record_id="01t"), "no Salesforce id"),
        (as_record(product(1, "A"), record_id=sf_id("Product2", 2)), "its key is not its record id"),
        (as_record(product(1, "A"), fields={"IsDeleted": "no"}), "IsDeleted is no boolean"),
        (as_record(product(1, "A"), fields={"IsActive": "yes"}), "IsActive is no canonical boolean"),
        (as_record(product(1, "A"), fields={"Name": 7}), "Name is no canonical text"),
    ],
)
def test_a_record_that_cannot_be_used_says_why(record: LogRecord, fault: str) -> None:
    found = faults(record)[0]

    assert found is not None
    assert fault in found


@pytest.mark.parametrize("price", [19.99, "1e3", "NaN", "", "19,99", True])
def test_a_price_that_is_no_canonical_decimal_is_set_aside(price: object) -> None:
    event = entry(1, of=1)
    record = as_record(event, fields={"UnitPrice": price})
    record = msgspec.structs.replace(record, place=Place(topics.PRICEBOOK_ENTRY.name, 0))

    assert faults(record) == ["UnitPrice is no canonical decimal"]


def test_no_fault_repeats_a_value_of_the_record() -> None:
    secret = "Taro Yamada"
    records = [
        as_record(product(1, "A"), fields={"IsActive": secret}),
        as_record(product(1, "A"), version=secret),
        as_record(product(1, "A"), record_id=secret),
        raw(secret.encode()),
    ]

    assert not any(secret in (fault or "") for fault in faults(*records))


def test_an_unmapped_field_is_kept_for_a_mapping_to_come() -> None:
    batch = fold(decode_all(Log().append(snapshot("Account", 1, Later__c="x")), MAPPING))

    assert batch.changes[Key("Account", sf_id("Account", 1))].payload["Later__c"] == "x"


def test_changes_of_one_record_are_joined_whatever_their_order() -> None:
    said = [product(1, "A", at=90_000), change("update", "Product2", 1, 70_000, Name="New")]

    states = [fold(decode_all(Log().append(*order), MAPPING)).changes for order in (said, said[::-1])]

    assert states[0] == states[1]
    assert states[0][Key("Product2", sf_id("Product2", 1))].payload["Name"] == "New"
