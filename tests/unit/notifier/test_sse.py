from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import sse

TEXT = st.text(st.characters(codec="utf-8"))


@given(st.dictionaries(TEXT, TEXT))
def test_any_text_stays_on_one_line_and_comes_back(fields: dict[str, str]) -> None:
    block = sse.frame("order.update", sse.encode(fields), cursor="abc", retry_ms=5)

    retry, event, held, data, *end = block.decode().split("\n")
    assert (retry, event, held, end) == ("retry: 5", "event: order.update", "id: abc", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == fields


@pytest.mark.parametrize(("event", "data"), [("a\nb", b"{}"), ("a", b"{\n}"), ("a", b"\r")])
def test_field_that_would_break_out_of_its_line_is_refused(event: str, data: bytes) -> None:
    with pytest.raises(ValueError, match="single lines"):
        sse.frame(event, data)


def test_retry_of_zero_is_never_sent() -> None:
    with pytest.raises(ValueError, match="not above 0"):
        sse.frame("stream", b"{}", retry_ms=0)


def test_skipped_states_are_counted_in_the_update() -> None:
    block = sse.update(b'{"status":"Draft"}', "c", skipped=3)

    assert b'data: {"status":"Draft","skipped":3}\n' in block


def test_chunk_is_framed_by_its_length_in_hex() -> None:
    assert sse.chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
