"""The wire in a real browser: a plain EventSource, and the shipped client where a plain one would give up."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page

from tests.integration.notifier import front as fronts
from tests.integration.notifier.front import Front
from tests.integration.notifier.world import World, new_order, status_of
from tests.support import browser as chromium
from tests.support.eventually import eventually

pytestmark = pytest.mark.browser

# A page that follows an order with nothing but what browsers have, and reads it again at each change.
PLAIN = """
(id) => {
  const params = { id };
  window.fetched = 0;
  window.updates = [];
  const useCallback = (callback) => callback;
  const fetchOrder = useCallback(async () => { window.fetched += 1; }, [params.id]);
  const handleOrderUpdate = useCallback((event) => {
    if (!params.id || event.orderId !== params.id) {
      return;
    }
    window.updates.push(event);
    void fetchOrder();
  }, [fetchOrder, params.id]);
  const useOrderUpdates = (orderId, onUpdate) => {
    const source = new EventSource(`/orders/${orderId}/events`);
    source.addEventListener("order.update", (event) => onUpdate(JSON.parse(event.data)));
    window.source = source;
  };
  useOrderUpdates(params.id, handleOrderUpdate);
}
"""

SHIPPED = """
async (id) => {
  const { watchOrder, watchOrders } = await import("/portal/umbra-orders.js");
  window.updates = [];
  window.said = [];
  const options = { onUpdate: (update) => window.updates.push(update), onStatus: (status) => window.said.push(status) };
  window.watch = id ? watchOrder(id, options) : watchOrders(options);
}
"""


@contextlib.asynccontextmanager
async def page_on(front: Front) -> AsyncIterator[Page]:
    async with chromium.launched() as browser:
        page = await browser.new_page()
        await page.goto(front.url)
        yield page


async def statuses(page: Page) -> list[str]:
    found: list[str] = await page.evaluate("window.updates.map((update) => update.status)")
    return found


async def shows(page: Page, *expected: str) -> None:
    async def same() -> bool:
        found = await statuses(page)
        assert found == list(expected)
        return True

    await eventually(same, within=20)


async def says(page: Page, **expected: Any) -> None:
    async def same() -> bool:
        told: dict[str, Any] = await page.evaluate("window.said.at(-1)")
        assert {name: told.get(name) for name in expected} == expected
        return True

    await eventually(same, within=20)


async def test_plain_event_source_follows_to_the_end_over_a_killed_instance(world: World) -> None:
    one, two = await world.start("one"), await world.start("two")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    async with fronts.running(one.url) as front, page_on(front) as page:
        await page.evaluate(PLAIN, order)
        await shows(page, "Draft")
        front.targets[:] = [two.url]
        one.process.kill()
        await world.publish(status_of(order, 1, "Activating"))
        await shows(page, "Draft", "Activating")
        await world.publish(status_of(order, 2, "Completed"))
        await shows(page, "Draft", "Activating", "Completed")

        # 204: the browser stops by itself.
        await eventually(lambda: page.evaluate("window.source.readyState === 2"), within=20)
        assert await page.evaluate("window.fetched") == 3
        update = await page.evaluate("window.updates[0]")
        assert set(update) == {
            "orderId", "status", "message", "reason", "timestamp", "source", "version", "terminal"
        }  # fmt: skip


async def test_shipped_client_survives_an_error_status_and_misses_nothing(world: World) -> None:
    one = await world.start("one")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    async with fronts.running(one.url) as front, page_on(front) as page:
        await page.evaluate(SHIPPED, order)
        await says(page, state="open", resume="snapshot", instance="one")
        await shows(page, "Draft")
        front.mode = 503
        await says(page, state="reconnecting")
        await world.publish(status_of(order, 1, "Activating"))
        await eventually(lambda: sum("lastEventId" in asked for asked, _ in front.asked) >= 2, within=20)
        front.mode = "pass"
        await says(page, state="open", resume="exact")
        await shows(page, "Draft", "Activating")
        await world.publish(status_of(order, 2, "Failed"))
        await says(page, state="done")
        await shows(page, "Draft", "Activating", "Failed")


async def test_shipped_client_leaves_a_connection_on_which_nothing_comes(world: World) -> None:
    one = await world.start("one")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    async with fronts.running(one.url) as front, page_on(front) as page:
        await page.evaluate(SHIPPED, "")
        await shows(page, "Draft")
        front.mode = "silent"
        await says(page, state="reconnecting", reason="silent")
        front.mode = "pass"
        await world.publish(status_of(order, 1, "Activating"))
        await says(page, state="open")
        await shows(page, "Draft", "Activating")


@pytest.mark.parametrize(("status", "reason"), [(401, "signed-out"), (404, "unknown")])
async def test_shipped_client_stops_where_there_is_nothing_to_come_back_for(status: int, reason: str) -> None:
    async with fronts.running() as front, page_on(front) as page:
        front.mode = status
        await page.evaluate(SHIPPED, new_order())
        await says(page, state="closed", reason=reason)
        asked = len(front.asked)
        await page.wait_for_timeout(1_200)
        assert len(front.asked) == asked
