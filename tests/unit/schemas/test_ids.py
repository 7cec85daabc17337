"""Ids are extended at the door and checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids

_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def test_the_id_of_a_real_event_passes() -> None:
    assert ids.parse("a21AU000000FSC5YAO") == "a21AU000000FSC5YAO"


def test_fifteen_characters_are_extended() -> None:
    assert ids.parse("a21AU000000FSC5") == "a21AU000000FSC5YAO"


@given(st.text(_CHARACTERS, min_size=15, max_size=15))
def test_an_extended_id_passes_the_check(short: str) -> None:
    assert ids.parse(ids.parse(short)) == ids.parse(short)


@pytest.mark.parametrize(
    "text", ["", "01t", "a21AU000000FSC5YAA", "a21AU000000FSC5YAO1", "a21AU-00000FSC5", "ａ21AU000000FSC5"]
)
def test_what_is_no_id_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="not a Salesforce id"):
        ids.parse(text)
