"""All of an account's orders in one stream."""

from __future__ import annotations

from tests.integration.notifier.world import OTHER, Client, World, new_order, partition, path, status_of
from tests.support.eventually import eventually

EVENTS = "/orders/events"


def seen(client: Client) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for data in client.of("order.update"):
        found.setdefault(data["orderId"], []).append(data["status"])
    return found


async def test_every_order_of_the_account_and_no_other_is_followed(world: World) -> None:
    one = await world.start("one")
    old, fresh, theirs = new_order(), new_order(), new_order()
    await world.row(status_of(old, 0, "Activating"))

    async with world.stream(one, EVENTS) as client:
        await client.until(lambda c: seen(c) == {old: ["Activating"]})
        await world.publish(
            status_of(theirs, 1, "Draft", account_id=OTHER),
            status_of(fresh, 1, "Draft"),
            status_of(old, 2, "Completed", account_id=None),
            status_of(fresh, 2, "Activating", account_id=None),
        )
        await client.until(lambda c: len(c.statuses) == 4)

    assert seen(client) == {old: ["Activating", "Completed"], fresh: ["Draft", "Activating"]}
    assert client.resume == "snapshot"
    assert not client.ended


async def test_other_instance_goes_on_exactly_with_finished_orders_too(world: World) -> None:
    one, two = await world.start("one"), await world.start("two")
    orders = [new_order() for _ in range(6)]
    await world.publish(*(status_of(order, 0, "Draft") for order in orders))
    async with world.stream(one, EVENTS) as client:
        await client.until(lambda c: len(seen(c)) == 6)
        await client.until(lambda c: c.of("heartbeat"))
        one.process.kill()
        await client.until(lambda c: c.ended)
    await world.publish(*(status_of(order, 1, "Completed") for order in orders))

    async with world.stream(two, EVENTS, cursor=client.last_id) as again:
        await again.until(lambda c: len(seen(c)) == 6)

    assert again.resume == "exact"
    assert seen(again) == {order: ["Completed"] for order in orders}
    assert {partition(order) for order in orders} != {partition(orders[0])}


async def test_record_without_an_account_is_held_until_its_owner_is_known(world: World) -> None:
    one, two = await world.start("one"), await world.start("two")
    order = new_order()
    nameless = status_of(order, 0, "Draft", account_id=None)
    async with world.stream(one, EVENTS) as client:
        await client.until(lambda c: c.of("heartbeat"))
        await world.publish(nameless)
        await client.until(lambda c: len(c.of("heartbeat")) >= 3)
        assert client.statuses == []

        # The cursor has not passed it: on another instance it is still to come.
        async with world.stream(two, EVENTS, cursor=client.last_id) as other:
            await other.until(lambda c: c.resume == "exact")
            await world.row(nameless)
            await client.until(lambda c: seen(c) == {order: ["Draft"]})
            await other.until(lambda c: seen(c) == {order: ["Draft"]})


async def test_order_stream_and_account_stream_tell_the_same(world: World) -> None:
    one = await world.start("one")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    async with world.stream(one, EVENTS) as all_orders, world.stream(one, path(order)) as single:
        await single.until(lambda c: c.statuses == ["Draft"])
        await all_orders.until(lambda c: c.statuses == ["Draft"])
        await world.publish(status_of(order, 1, "Failed", reason="LINE_UNAVAILABLE"), status_of(order, 2, "Failed"))
        await single.until(lambda c: c.ended)
        await all_orders.until(lambda c: len(c.statuses) == 2)

    assert single.of("order.update") == all_orders.of("order.update")
    assert single.of("order.update")[-1]["reason"] == "LINE_UNAVAILABLE"


async def test_order_whose_record_has_no_row_yet_is_in_the_snapshot(world: World) -> None:
    one = await world.start("one")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    await eventually(lambda: world.metric(one, "notifier_ring_bytes"), within=15)
    await world.applied(order, 1)

    async with world.stream(one, EVENTS) as client:
        await client.until(lambda c: seen(c) == {order: ["Draft"]})
