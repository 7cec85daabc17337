"""A customer signs in, orders a plan and watches it become active."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import OpenTab
from tests.e2e.portal import Portal
from tests.e2e.running import Stack

pytestmark = pytest.mark.browser

# Whether the call was cut before or after it reached the org, the page says what that means for the order.
IN_PLAIN_WORDS = re.compile("Nothing was ordered|never be placed twice")


async def test_customer_orders_a_plan_for_their_line_and_sees_it_activated(portal: Portal) -> None:
    await portal.sign_in("Hana Mihon")
    await portal.show_plans()

    await portal.order("INT-HOME-SILVER-1G")

    await portal.reaches("Activated")
    assert await portal.story() == ["Draft", "Activating", "Activated"]


async def test_order_moves_through_its_statuses_in_two_tabs(open_tab: OpenTab, stack: Stack) -> None:
    order = await stack.seeded_draft("Sample Bakery")
    first, second = await open_tab(), await open_tab()
    await first.sign_in("Sample Bakery")
    for tab in (first, second):
        await tab.open_order(order)
        await tab.reaches("Draft")

    for status in ("Activating", "Activated", "Completed"):
        await stack.move(order, status)
        for tab in (first, second):
            await tab.reaches(status)

    assert await first.story() == ["Draft", "Activating", "Activated", "Completed"]
    assert await second.story() == await first.story()


async def test_list_of_orders_follows_an_order_that_is_placed_in_another_tab(open_tab: OpenTab) -> None:
    listing, ordering = await open_tab(), await open_tab()
    await listing.sign_in("Kenji Sample")
    await listing.page.goto(f"{listing.address}/#/orders")
    await listing.connected()
    await ordering.show_plans("sim")

    order = await ordering.order("SIM-DATA-5GB")

    row = listing.page.locator(f"[data-order='{order}']")
    await expect(row).to_have_attribute("data-status", "Activated", timeout=20_000)


async def test_customer_of_another_account_does_not_see_the_order(portal: Portal, stack: Stack) -> None:
    order = str((await stack.orders_of("Hana Mihon"))[0]["Id"])
    await portal.sign_in("Kenji Sample")

    await portal.page.goto(f"{portal.address}/#/orders/{order}")

    await expect(portal.page.locator(".notice.bad")).to_contain_text("could not find", timeout=20_000)
    assert await portal.story() == []


async def test_order_refused_with_salesforce_off_is_placed_once_by_trying_again(portal: Portal, stack: Stack) -> None:
    await portal.sign_in("Yui Example")
    await portal.show_plans("sim")
    before = len(await stack.orders_of("Yui Example"))
    async with stack.without_salesforce():
        await portal.card("SIM-DATA-10GB").get_by_role("button", name="Order").click()
        for press in ("Place order", "Try again"):
            await portal.page.get_by_role("button", name=press).click()
            await expect(portal.page.locator("dialog .notice.bad")).to_contain_text(IN_PLAIN_WORDS, timeout=20_000)

    await portal.page.get_by_role("button", name="Try again").click()

    await portal.reaches("Activated")
    assert len(await stack.orders_of("Yui Example")) == before + 1
