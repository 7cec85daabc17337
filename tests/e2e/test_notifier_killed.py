"""A tab outlives the notifier that serves it."""

from __future__ import annotations

import pytest

from tests.e2e.portal import Portal
from tests.e2e.running import Stack
from tests.support.eventually import eventually

pytestmark = pytest.mark.browser


async def test_tab_goes_on_by_itself_on_the_other_notifier_and_misses_nothing(portal: Portal, stack: Stack) -> None:
    order = await stack.seeded_draft("Mihon Robotics")
    await portal.sign_in("Mihon Robotics")
    await portal.open_order(order)
    await portal.reaches("Draft")
    served_by = await portal.connected()

    async with stack.killed(served_by):
        await stack.move(order, "Activating")
        await portal.reaches("Activating")

        async def moved() -> bool:
            return await portal.connected() != served_by

        await eventually(moved, within=20)
        await stack.move(order, "Activated")
        await portal.reaches("Activated")

    await stack.move(order, "Completed")
    await portal.reaches("Completed")
    assert await portal.story() == ["Draft", "Activating", "Activated", "Completed"]
