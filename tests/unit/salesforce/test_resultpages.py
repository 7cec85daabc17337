"""Pages come in order and whole, whether a listing names them, they tell each other, or the two disagree."""

from __future__ import annotations

import asyncio
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.salesforce import resultpages
from services.salesforce.errors import NotFound
from services.salesforce.pagefile import PageFile
from services.salesforce.resultpages import Listing, Place


class Result:
    """Pages by the row at which they begin, as Salesforce would hand them out."""

    def __init__(self, rows: int, page: int, listed_page: int) -> None:
        self.rows, self.page, self.listed_page = rows, page, listed_page
        self.files: list[io.BytesIO] = []
        self.loading = self.most = 0

    async def load(self, place: Place) -> PageFile:
        self.loading += 1
        self.most = max(self.most, self.loading)
        await asyncio.sleep(0)
        self.loading -= 1
        start = int(place or 0)
        end = min(start + self.page, self.rows)
        self.files.append(file := io.BytesIO())
        return PageFile(file, end - start, str(end) if end < self.rows else None)

    async def list(self, place: Place) -> Listing | None:
        start = int(place or 0)
        places = [str(row) for row in range(start, max(self.rows, start + 1), self.listed_page)]
        return Listing(tuple(places[:5]), places[5] if len(places) > 5 else None)


async def ranges(result: Result, *, first: Place, listed: bool) -> list[tuple[int, int]]:
    found = []
    pages = resultpages.in_order(result.load, result.list, first=first, ahead=2, listed=listed)
    async for place, loaded in pages:
        found.append((int(place or 0), loaded.count))
        loaded.file.close()
    return found


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 9), st.booleans(), st.booleans())
def test_every_row_comes_once_and_in_order(rows: int, page: int, listed_page: int, listed: bool, resumed: bool) -> None:
    start = rows // 2 if resumed else 0
    result = Result(rows, page, listed_page)

    found = asyncio.run(ranges(result, first=str(start) if resumed else None, listed=listed))

    assert [row for begin, count in found for row in range(begin, begin + count)] == list(range(start, rows))
    assert all(file.closed for file in result.files)


async def test_listed_pages_are_loaded_side_by_side() -> None:
    result = Result(rows=100, page=10, listed_page=10)

    await ranges(result, first=None, listed=True)

    assert result.most == 2


async def test_reader_that_leaves_early_leaves_no_page_behind() -> None:
    result = Result(rows=100, page=10, listed_page=10)
    pages = resultpages.in_order(result.load, result.list, first=None, ahead=2, listed=True)
    _, first = await anext(pages)
    first.file.close()
    await asyncio.sleep(0.01)

    await pages.aclose()

    assert all(file.closed for file in result.files)


async def test_page_that_cannot_be_loaded_is_told_when_its_turn_comes() -> None:
    result = Result(rows=30, page=10, listed_page=10)

    async def load(place: Place) -> PageFile:
        if place == "20":
            raise NotFound("the job is forgotten")
        return await result.load(place)

    pages = resultpages.in_order(load, result.list, first=None, ahead=2, listed=True)
    for expected in ("0", "10"):
        place, loaded = await anext(pages)
        assert place == expected
        loaded.file.close()

    with pytest.raises(NotFound):
        await anext(pages)


def test_listing_is_read_as_salesforce_writes_it() -> None:
    base = "/services/data/v67.0/jobs/query/750/results"
    pages = [{"resultUrl": f"{base}?locator=MTA%3D&maxRecords=10"}, {"resultUrl": f"{base}?maxRecords=10&locator=a+b"}]

    listing = resultpages.of(
        {"resultPages": pages, "nextRecordUrl": f"{base[:-7]}resultPages?locator=Mg", "done": False}
    )

    assert listing == Listing(("MTA=", "a+b"), "Mg")
    assert resultpages.of({"resultPages": pages, "nextRecordUrl": None, "done": True}).more is None
    assert resultpages.of({"resultPages": [{"resultUrl": base}], "done": True}).places == (None,)
