"""A fresh browser for each story, on the session's one stack."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from playwright.async_api import Browser

from tests.e2e.portal import Portal
from tests.e2e.running import Stack
from tests.support import browser as chromium
from tests.support.umbra import Umbra

OpenTab = Callable[[], Awaitable[Portal]]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium.launched() as running_browser:
        yield running_browser


@pytest.fixture
def stack(local_stack: Umbra) -> Stack:
    return Stack(local_stack)


@pytest.fixture
async def open_tab(browser: Browser, stack: Stack) -> AsyncIterator[OpenTab]:
    """Opens one more tab of the same person; a fault in the page's own script fails the test."""
    context = await browser.new_context(locale="en-GB")
    faults: list[str] = []

    async def tab() -> Portal:
        page = await context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        return Portal(page, stack.address)

    yield tab
    await context.close()
    assert faults == []


@pytest.fixture
async def portal(open_tab: OpenTab) -> Portal:
    return await open_tab()
