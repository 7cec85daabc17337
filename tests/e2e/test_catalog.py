"""What a person sees of the catalog follows the org, and outlives it."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.e2e.portal import Portal
from tests.e2e.running import Stack
from tests.support.eventually import eventually

pytestmark = pytest.mark.browser

GATEWAYS = {"gateway-1", "gateway-2"}


async def test_price_edited_in_the_org_is_in_the_next_view_on_both_gateways(portal: Portal, stack: Stack) -> None:
    await portal.sign_in("Yui Example")
    await portal.show_plans()
    before = await views_of_both(portal, "INT-APT-GOLD-1G")

    await stack.price("INT-APT-GOLD-1G", 4321)

    async def arrived() -> bool:
        await portal.reload()
        return await portal.price("INT-APT-GOLD-1G") == "¥4,321"

    await eventually(arrived, within=10)
    assert before != {"¥4,321"}
    assert await views_of_both(portal, "INT-APT-GOLD-1G") == {"¥4,321"}


async def test_price_edited_twice_never_goes_back(portal: Portal, stack: Stack) -> None:
    await portal.sign_in("Yui Example")
    await portal.show_plans("vpn")
    shown = [await portal.price("VPN-UK")]

    for yen in (2600, 2700):
        await stack.price("VPN-UK", yen)
        wanted = f"¥{yen:,}"

        async def arrived(wanted: str = wanted) -> bool:
            await portal.refresh()
            shown.append(await portal.price("VPN-UK"))
            return shown[-1] == wanted

        await eventually(arrived, within=10)
    for _ in range(6):
        await portal.refresh()
        shown.append(await portal.price("VPN-UK"))

    assert shown == sorted(shown)


async def test_with_salesforce_off_the_catalog_is_shown_with_its_age(portal: Portal, stack: Stack) -> None:
    await portal.sign_in("Yui Example")
    async with stack.without_salesforce():
        await portal.show_plans()

        async def aged() -> bool:
            await portal.reload()
            return await portal.card("INT-APT-SILVER-1G").locator(".age").inner_text() not in {"now", "1s ago"}

        await eventually(aged, within=20)
        card = portal.card("INT-APT-SILVER-1G")
        await expect(card.locator(".amount")).to_have_text("¥3,980")
        await expect(card.locator(".provenance")).to_have_attribute(
            "data-source", re.compile("process|valkey|shadow|stale")
        )


async def views_of_both(portal: Portal, sku: str) -> set[str]:
    """Every price shown for the SKU until each gateway has answered twice."""
    answered = dict.fromkeys(GATEWAYS, 0)
    prices = set()

    async def both() -> bool:
        await portal.refresh()
        prices.add(await portal.price(sku))
        answered[await portal.gateway()] += 1
        return min(answered.values()) >= 2

    await eventually(both, within=20)
    return prices
