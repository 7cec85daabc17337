"""Bitmaps name the fields that the guide's examples, and any subset written by the rules, say they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.salesforce.pubsub import bitmaps
from services.salesforce.pubsub.bitmaps import Path, Slot

PARTS = ("Street", "City", "State", "PostalCode", "Country", "Latitude", "Longitude")
NAMES = [
    "ChangeEventHeader",
    "Name",
    "Type",
    "ParentId",
    "BillingAddress",
    "ShippingAddress",
    "Phone",
    "Fax",
    "AccountNumber",
    "Website",
    "Sic",
    "Industry",
    "AnnualRevenue",
    "NumberOfEmployees",
    "Ownership",
    "TickerSymbol",
    "Description",
    "Rating",
    "Site",
    "OwnerId",
    "CreatedDate",
    "CreatedById",
    "LastModifiedDate",
    "LastModifiedById",
    "Jigsaw",
]
LAYOUT = tuple(Slot(name, PARTS if name.endswith("Address") else ()) for name in NAMES)


def test_top_level_bits_count_from_the_least_significant() -> None:
    assert bitmaps.decode(["0x400800"], LAYOUT) == {Path("Industry"), Path("LastModifiedDate")}


def test_parts_of_a_compound_field_are_named_without_their_parent() -> None:
    found = bitmaps.decode(["0x400000", "4-0x01"], LAYOUT)

    assert found == {Path("LastModifiedDate"), Path("BillingAddress", "Street")}


def test_a_lone_compound_element_is_read() -> None:
    assert bitmaps.decode(["5-0x02"], LAYOUT) == {Path("ShippingAddress", "City")}


def test_compound_elements_are_read_wherever_they_stand() -> None:
    found = bitmaps.decode(["4-0x10", "0x40", "5-0x01"], LAYOUT)

    assert found == {Path("BillingAddress", "Country"), Path("Phone"), Path("ShippingAddress", "Street")}


def test_bits_beyond_the_schema_are_ignored() -> None:
    assert bitmaps.decode(["0x8000000800", "4-0x81"], LAYOUT) == {Path("Industry"), Path("BillingAddress", "Street")}


def test_lower_case_digits_are_the_same_bits() -> None:
    assert bitmaps.decode(["0x4a"], LAYOUT) == bitmaps.decode(["0x4A"], LAYOUT)


def test_no_elements_name_nothing() -> None:
    assert bitmaps.decode([], LAYOUT) == frozenset()


@pytest.mark.parametrize("element", ["Name", "0xGG", "1-0x01", "99-0x01", "-0x01", "x-0x01", "0x", "4-", "4-12"])
def test_what_is_no_bitmap_of_this_schema_is_refused(element: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        bitmaps.decode([element], LAYOUT)


every_path = [Path(slot.name) for slot in LAYOUT[1:]] + [
    Path(slot.name, part) for slot in LAYOUT for part in slot.parts
]


@given(st.sets(st.sampled_from(every_path)))
def test_any_set_of_fields_comes_back_from_its_bitmaps(paths: set[Path]) -> None:
    names = [slot.name for slot in LAYOUT]
    top = sum(1 << names.index(path.field) for path in paths if not path.part)
    elements = [f"0x{top:08X}"] if top else []
    for index, slot in enumerate(LAYOUT):
        value = sum(1 << slot.parts.index(path.part) for path in paths if path.field == slot.name and path.part)
        elements += [f"{index}-0x{value:02X}"] if value else []

    assert bitmaps.decode(elements, LAYOUT) == paths


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_every_bit_stands_for_the_field_at_its_index(value: int) -> None:
    found = bitmaps.decode([f"0x{value:016X}"], LAYOUT)

    assert found == {Path(slot.name) for index, slot in enumerate(LAYOUT) if value >> index & 1}
