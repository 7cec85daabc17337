"""Bitmaps are upper-case hex of whole bytes; the examples are those of the deserialization guide."""

import pytest

from sandbox.salesforce import bitmap


@pytest.mark.parametrize(
    ("fields", "text"),
    [([11, 22], "0x400800"), ([7, 13], "0x2080"), ([1, 3, 6], "0x4A"), ([0], "0x01"), ([], "0x00"), ([8], "0x0100")],
)
def test_bit_i_is_field_i(fields: list[int], text: str) -> None:
    assert bitmap.encode(fields) == text


def test_parts_of_compound_fields_follow_by_parent() -> None:
    assert bitmap.encode_paths([(22, None), (4, 0)]) == ["0x400000", "4-0x01"]
    assert bitmap.encode_paths([(7, 1), (7, 2), (4, 4)]) == ["4-0x10", "7-0x06"]
    assert bitmap.encode_paths([]) == []
