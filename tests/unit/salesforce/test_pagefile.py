"""Pages of a Bulk result: read as Salesforce writes them, never taken for whole when they are not."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.salesforce import pagefile
from services.salesforce.errors import Incomplete

values = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.fixture(autouse=True, scope="module")
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(2**31 - 1)
    yield
    csv.field_size_limit(before)


def _page(*lines: list[str]) -> IO[bytes]:
    text = "".join(",".join('"' + value.replace('"', '""') + '"' for value in line) + "\n" for line in lines)
    return io.BytesIO(text.encode())


class Download:
    """A session that has one answer: the seam at which a page comes in."""

    def __init__(self, content: bytes, headers: Mapping[str, str]) -> None:
        self._content = content
        self._headers = headers

    def download(self, path: str, params: Mapping[str, str], into: IO[bytes]) -> Mapping[str, str]:
        into.write(self._content)
        into.seek(0)
        return self._headers


def _loaded(content: bytes, **headers: str) -> tuple[int, str | None]:
    """Rows of the page, and the locator of the next."""
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    page = pagefile.load(Download(content, said), "750", None, 100)  # type: ignore[arg-type]
    with page.file:
        assert len(list(pagefile.rows(page.file))) == page.count
    return page.count, page.next_locator


@given(st.lists(st.tuples(values, values), max_size=8))
def test_any_text_survives_quoting_and_line_breaks(table: list[tuple[str, str]]) -> None:
    page = _page(["Id", "Name"], *[list(line) for line in table])

    assert [tuple(row.values()) for row in pagefile.rows(page)] == [(a or None, b or None) for a, b in table]


def test_field_longer_than_csv_allows_by_default_is_read() -> None:
    text = "x" * 200_000

    assert next(pagefile.rows(_page(["Id"], [text]))) == {"Id": text}


def test_page_can_be_read_twice() -> None:
    page = _page(["Id"], ["1"], ["2"])

    assert list(pagefile.rows(page)) == list(pagefile.rows(page))


def test_reader_that_stops_early_may_close_the_page() -> None:
    page = _page(["Id"], ["1"], ["2"])
    rows = pagefile.rows(page)
    next(rows)

    page.close()
    rows.close()  # type: ignore[attr-defined]  # a generator

    assert page.closed


@pytest.mark.parametrize("content", [b'"Id","Name"\n"1"\n', b'"Id"\n"1', b'"Id"\n"\xff"\n', b'"Id"\n"a"b\n'])
def test_cut_or_broken_page_is_incomplete(content: bytes) -> None:
    with pytest.raises(Incomplete):
        list(pagefile.rows(io.BytesIO(content)))


def test_page_knows_its_rows_and_the_next_locator() -> None:
    assert _loaded(b'"Id"\n"1"\n"2"\n', Sforce_NumberOfRecords="2", Sforce_Locator="MTAw") == (2, "MTAw")


@pytest.mark.parametrize("headers", [{"Sforce_Locator": "null"}, {}])
def test_last_page_has_no_next_locator(headers: dict[str, str]) -> None:
    assert _loaded(b'"Id"\n', Sforce_NumberOfRecords="0", **headers) == (0, None)


def test_page_with_fewer_rows_than_it_says_is_incomplete() -> None:
    with pytest.raises(Incomplete, match="says 3 records and holds 2"):
        _loaded(b'"Id"\n"1"\n"2"\n', Sforce_NumberOfRecords="3")


def test_page_that_does_not_say_how_many_rows_it_has_is_incomplete() -> None:
    with pytest.raises(Incomplete):
        _loaded(b'"Id"\n"1"\n')


def test_empty_body_is_a_page_without_rows() -> None:
    assert _loaded(b"", Sforce_NumberOfRecords="0") == (0, None)
