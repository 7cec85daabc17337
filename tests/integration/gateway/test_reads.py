"""Reads from the shadow and the caches: what they hold, where they say they came from, how old they say they are."""

from __future__ import annotations

from tests.integration.gateway.world import World, token

SKU = "INT-HOME-GOLD-1G"


async def test_a_product_comes_from_the_shadow_then_from_memory_with_its_portal_prices(world: World) -> None:
    async with world.gateway() as gateway:
        first = await gateway.get(f"/catalog/products/{SKU}")
        second = await gateway.get(f"/catalog/products/{SKU}")

    assert (first.status, first.source, second.source) == (200, "shadow", "process")
    assert first.body == second.body
    assert {price["currency"]: price["unitPrice"] for price in first.body["prices"]} == {"JPY": "5480.00", "USD": "36.53"}
    assert first.body["itemClass"] == "Internet"
    assert first.body["extra"]["description"]
    assert int(first.headers["Age"]) < 60
    assert first.headers["Umbra-Trace"].startswith("sf.product2.v1:")
