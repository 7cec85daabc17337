"""One order's stream over real HTTP, on two instances, from a real log and a real database."""

from __future__ import annotations

import pytest

from tests.integration.notifier.world import OTHER, World, new_order, path, status_of, token


async def test_statuses_reach_the_client_in_order_and_the_end_stops_it(world: World) -> None:
    one = await world.start("one")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))

    async with world.stream(one, path(order)) as client:
        await client.until(lambda c: c.statuses == ["Draft"])
        assert client.resume == "snapshot"
        await world.publish(status_of(order, 1, "Activating"), status_of(order, 2, "Completed"))
        await client.until(lambda c: c.ended)

    assert client.statuses == ["Draft", "Activating", "Completed"]
    async with world.stream(one, path(order), cursor=client.last_id) as again:
        assert again.status == 204


async def test_other_instance_goes_on_exactly_after_kill(world: World) -> None:
    one, two = await world.start("one"), await world.start("two")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    async with world.stream(one, path(order)) as client:
        await client.until(lambda c: c.statuses == ["Draft"])
        one.process.kill()
        await world.publish(status_of(order, 1, "Activating"))
        await client.until(lambda c: c.ended)

    async with world.stream(two, path(order), cursor=client.last_id) as again:
        await again.until(lambda c: c.statuses == ["Activating"])
        await world.publish(status_of(order, 2, "Activated"))
        await again.until(lambda c: c.statuses == ["Activating", "Activated"])

    assert again.resume == "exact"


@pytest.mark.parametrize("as_query", [True, False])
async def test_quiet_order_resumes_by_its_heartbeat(world: World, as_query: bool) -> None:
    one = await world.start("one")
    order, busy = new_order(), new_order()
    await world.publish(status_of(order, 0, "Draft"))
    async with world.stream(one, path(order)) as client:
        await client.until(lambda c: len(c.of("heartbeat")) >= 1)
        first = client.last_id
        await world.publish(*(status_of(busy, second, f"Step{second}") for second in range(20)))
        await client.until(lambda c: len(c.of("heartbeat")) >= 4)

    cursor = None if as_query else client.last_id
    query = f"?lastEventId={client.last_id}" if as_query else ""
    async with world.stream(one, path(order), cursor=cursor, query=query) as again:
        await again.until(lambda c: c.resume == "exact")
        await again.until(lambda c: len(c.of("heartbeat")) >= 1)
    assert again.statuses == []
    assert first is not None


async def test_foreign_and_unknown_orders_look_the_same(world: World) -> None:
    one = await world.start("one")
    theirs = new_order()
    await world.publish(status_of(theirs, 0, "Draft", account_id=OTHER))
    async with world.stream(one, path(theirs), bearer=token(OTHER)) as owner:
        await owner.until(lambda c: c.statuses == ["Draft"])

    bodies = []
    for order in (theirs, new_order(), "801000000000", "../x"):
        answer = await world.session.get(f"{one.url}{path(order)}", headers={"Authorization": f"Bearer {token()}"})
        assert answer.status == 404
        bodies.append(await answer.text())
    assert len(set(bodies[:3])) == 1


async def test_cursor_of_another_account_opens_nothing(world: World) -> None:
    one = await world.start("one")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft", account_id=OTHER))
    async with world.stream(one, path(order), bearer=token(OTHER)) as owner:
        await owner.until(lambda c: c.last_id)

    async with world.stream(one, path(order), cursor=owner.last_id) as thief:
        assert thief.status == 404


@pytest.mark.parametrize("bearer", ["nonsense", token(lasts=-1)])
async def test_bad_token_stops_the_client(world: World, bearer: str) -> None:
    one = await world.start("one")
    async with world.stream(one, path(new_order()), bearer=bearer) as client:
        assert client.status == 401
