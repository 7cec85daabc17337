"""Takes the README's pictures from the running local stack: `python docs/screenshots.py [--state-dir .umbra]`.

It signs in as a sample customer and orders a plan for real, so each run leaves one more order behind.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from playwright.async_api import Browser

from sandbox.stack import state
from tests.e2e.portal import Portal
from tests.support import browser as chromium

IMAGES = Path(__file__).parent / "images"
CUSTOMER = "Hana Mihon"
DESK = {"width": 1200, "height": 660}
PHONE = {"width": 390, "height": 780}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--state-dir", type=Path, default=Path(".umbra"), help="of the running stack")
    args = parser.parse_args()
    try:
        address = state.read_running(args.state_dir).address
    except state.NotRunning as error:
        sys.stderr.write(f"{error}\n")
        return 3
    asyncio.run(_take_all(address))
    return 0


async def _take_all(address: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    async with chromium.launched() as browser:
        desk = await _tab(browser, address, DESK)
        await desk.show_plans()
        await desk.page.screenshot(path=IMAGES / "portal.png")
        phone = await _tab(browser, address, PHONE)
        await phone.show_plans("sim")
        await phone.order("SIM-VOICE-10GB")
        await phone.connected()
        await phone.reaches("Activating")
        await phone.page.screenshot(path=IMAGES / "portal-phone.png")


async def _tab(browser: Browser, address: str, size: dict[str, int]) -> Portal:
    context = await browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        device_scale_factor=2,
        locale="en-GB",
        color_scheme="light",
        # Without it a picture may catch a movement half way.
        reduced_motion="reduce",
    )
    tab = Portal(await context.new_page(), address)
    await tab.sign_in(CUSTOMER)
    return tab


if __name__ == "__main__":
    sys.exit(main())
