"""The pages of a Bulk result in order, the next ones loaded while the reader is at work on one.

Five places come in one call where Salesforce offers that, and are loaded side by side; else each page tells the next.
Source: Bulk API 2.0 guide, "Get Parallel Results for a Query Job" (v58.0 and later).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from services.salesforce.pagefile import PageFile
from services.salesforce.session import Session

Place = str | None
"""Locator of a page; None is the first page."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Places of pages that can be read side by side. more: of the listing that follows, None after the last."""

    places: tuple[Place, ...]
    more: str | None


def load(session: Session, job_id: str, place: Place, most: int) -> Listing:
    """Up to five places of pages of `most` rows, from `place` on."""
    asked = {"maxRecords": str(most)} if place is None else {"maxRecords": str(most), "locator": place}
    return of(session.salesforce.restful(f"jobs/query/{job_id}/resultPages", params=asked))


def of(body: Mapping[str, Any]) -> Listing:
    """What the answer says; without a usable continuation the last page tells what follows."""
    following = body.get("nextRecordUrl") or body.get("nextRecordsUrl")
    more = _place(following) if following and not body.get("done", False) else None
    return Listing(tuple(_place(page["resultUrl"]) for page in body.get("resultPages") or ()), more)


def _place(url: str) -> Place:
    """A locator may hold a plus sign, which stands for itself."""
    parts = (part.partition("=") for part in urlsplit(url).query.split("&"))
    return next((unquote(value) for name, _, value in parts if name == "locator"), None)


async def in_order(
    load_page: Callable[[Place], Awaitable[PageFile]],
    load_listing: Callable[[Place], Awaitable[Listing | None]],
    *,
    first: Place,
    ahead: int,
    listed: bool,
) -> AsyncGenerator[tuple[Place, PageFile], None]:
    """Every page from `first` on with its place; at most `ahead` are loaded or being loaded beside the one in hand.

    load_listing: None where Salesforce offers none; asked only where `listed`, believed while the pages agree
    Each page's file is the receiver's to close.
    """
    known: deque[Place] = deque([first])
    more: Place = None
    started: deque[tuple[Place, asyncio.Task[PageFile]]] = deque()

    def start() -> None:
        while known and len(started) < ahead:
            place = known.popleft()
            started.append((place, asyncio.create_task(_awaited(load_page, place), name="bulk page")))

    try:
        if listed and (listing := await load_listing(first)) and listing.places:
            known, more = deque(listing.places), listing.more
        while known or started:
            start()
            if not known and more is not None:
                following = await load_listing(more)
                known.extend(following.places if following else ())
                more = following.more if following else None
            place, task = started.popleft()
            loaded = await task
            expected = started[0][0] if started else known[0] if known else more
            if loaded.next_locator != expected:
                # Pages that are shorter than was listed, or no listing: what the page itself says holds.
                await _dropped([task for _, task in started])
                started.clear()
                known, more = deque([loaded.next_locator] if loaded.next_locator else ()), None
            start()
            yield place, loaded
    finally:
        await _dropped([task for _, task in started])


async def _awaited(load_page: Callable[[Place], Awaitable[PageFile]], place: Place) -> PageFile:
    return await load_page(place)


async def _dropped(tasks: list[asyncio.Task[PageFile]]) -> None:
    """Pages that nobody will read."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and task.exception() is None:
            task.result().file.close()
