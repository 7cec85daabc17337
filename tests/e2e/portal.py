"""The portal as a person uses it: what they press, what they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page, expect

_PATIENCE_MS = 20_000


@dataclass(frozen=True, slots=True)
class Portal:
    page: Page
    address: str

    async def sign_in(self, customer: str) -> None:
        await self.page.goto(self.address)
        await self.page.locator(".account", has_text=customer).first.click()
        await expect(self.page.locator(".who-name")).to_contain_text(customer, timeout=_PATIENCE_MS)

    async def show_plans(self, kind: str = "internet") -> None:
        await self.page.goto(f"{self.address}/#/plans/{kind}")
        await self._catalog_shown()

    async def reload(self) -> None:
        """A new view of the page."""
        await self.page.reload()
        await self._catalog_shown()

    async def refresh(self) -> None:
        """The page's own button."""
        async with self.page.expect_response(lambda response: "/catalog/" in response.url):
            await self.page.get_by_role("button", name="Refresh").click()
        await self._catalog_shown()

    async def _catalog_shown(self) -> None:
        await expect(self.page.locator(".results")).to_have_attribute("aria-busy", "false", timeout=_PATIENCE_MS)

    def card(self, sku: str) -> Any:
        return self.page.locator(f"[data-sku='{sku}']")

    async def price(self, sku: str) -> str:
        return str(await self.card(sku).locator(".amount").inner_text(timeout=_PATIENCE_MS))

    async def gateway(self) -> str:
        """Which instance the catalog shown came from."""
        return str(
            await self.page.locator(".results > .small-print").get_attribute("data-instance", timeout=_PATIENCE_MS)
        )

    async def order(self, sku: str) -> str:
        """Order a plan; returns the id of the order once its page is shown."""
        await self.card(sku).get_by_role("button", name="Order").click()
        await self.page.get_by_role("button", name="Place order").click()
        return str(await self.page.locator(".order").get_attribute("data-order", timeout=_PATIENCE_MS))

    async def open_order(self, order_id: str) -> None:
        await self.page.goto(f"{self.address}/#/orders/{order_id}")
        await self.connected()

    async def connected(self) -> str:
        """Wait until the stream is open; returns the notifier instance that serves it."""
        line = self.page.locator(".connection")
        await expect(line).to_have_attribute("data-state", "open", timeout=_PATIENCE_MS)
        return str(await line.get_attribute("data-instance"))

    async def reaches(self, status: str) -> None:
        now = self.page.locator(".now")
        await expect(now).to_have_attribute("data-status", status, timeout=_PATIENCE_MS)

    async def story(self) -> list[str]:
        """Every status that this page has shown, oldest first."""
        shown = await self.page.locator(".story li").evaluate_all("rows => rows.map(row => row.dataset.status)")
        return list(reversed(shown))
