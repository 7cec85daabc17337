"""What Salesforce tells oddly is told right by the log: twice, backward, unreadable, without a position or a schema."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from sandbox.salesforce.faults import pubsub
from schemas.events import RecordChange
from tests.integration.ingestor import shared
from tests.integration.ingestor.harness import duplicates
from tests.integration.ingestor.shared import PRODUCTS, Addresses, Shared

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(addresses: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    async with shared.world(addresses, tmp_path_factory.mktemp("odd")) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_faults_are_left(world: Shared) -> Iterator[None]:
    yield
    world.faults.clear()


async def test_batch_in_hand_waits_for_its_schema(world: Shared) -> None:
    parked, letters = await world.metric("ingest_parked_total"), len(await world.log.dead_letters())
    world.faults.arm(pubsub.Error(rpc="GetSchema", code="schema.api.unavailable", count=4))
    world.sim.do("POST", "/oddities/add-field", {"object": "Product2", "name": "Later__c"})

    changes = await world.in_log(*world.products("After", "Last"))

    assert len(changes) == 2
    assert await world.metric("ingest_parked_total", topic=PRODUCTS) == parked + 4
    assert len(await world.log.dead_letters()) == letters
    assert world.state("delivered_events")[PRODUCTS] == world.state("published_events")[PRODUCTS]


@pytest.mark.parametrize("how", ["payload", "schema_id"])
async def test_event_that_cannot_be_read_leaves_a_letter_and_a_hole(world: Shared, how: Any) -> None:
    (before, *_) = await world.in_log(*world.products("First"))
    known = await world.log.dead_letters()
    world.faults.arm(pubsub.Undecodable(match=PRODUCTS, how=how, count=1))

    world.products("Broken")
    await world.in_log(*world.products("After"))

    (letter,) = [letter for letter in await world.log.dead_letters() if letter not in known]
    assert letter.before_replay_id == before.replay_id
    assert letter.replay_id
    assert letter.schema_id
    holes = {mark.hole_id for mark in await world.log.watermarks("Product2") if mark.reason == "undecodable"}
    assert f"undecodable:{letter.replay_id}" in holes


async def test_what_is_delivered_or_stored_twice_is_in_the_log_once(world: Shared) -> None:
    repeated = await world.metric("ingest_repeated_total", topic=PRODUCTS)
    world.faults.arm(pubsub.Duplicate(match=PRODUCTS, count=1))
    made = world.products("One", "Two")
    await world.in_log(*made)
    world.sim.do("POST", "/oddities/duplicate", {"topic": PRODUCTS, "count": 2})

    changes = await world.in_log(*made, *world.products("Last"))

    await world.reaches("ingest_repeated_total", repeated + 3, topic=PRODUCTS)
    assert duplicates(changes) == []
    assert [change for change in changes if change.kind == "dirty"] == []


async def test_event_without_a_position_leaves_the_position(world: Shared) -> None:
    (change, *_) = await world.in_log(*world.products("First"))
    world.faults.arm(pubsub.NoReplayId(match=PRODUCTS, count=1))

    await world.in_log(*world.products("Without"))

    assert (await world.log.checkpoints(PRODUCTS))[-1].replay_id == change.replay_id


async def test_versions_that_run_backward_are_marked_with_the_newest_seen(world: Shared) -> None:
    counted = await world.metric("ingest_inversions_total", topic=PRODUCTS, reason="order")
    (record,) = world.products("First")
    world.sim.do("POST", "/oddities", {"clock_skew_ms": [-3_000, 3_000]})
    for n in range(30):
        world.sim.do("PATCH", f"/records/Product2/{record}", {"Name": f"N{n}"})
    world.sim.do("POST", "/oddities", {"clock_skew_ms": [0, 0]})
    await world.in_log(*world.products("Last"))

    changes = await world.in_log(record)

    inverted = backward(changes)
    assert inverted
    for at in inverted:
        newest = max(before.version for before in changes[:at])
        assert changes[at + 1].kind == "dirty"
        assert changes[at + 1].version >= newest
    assert await world.metric("ingest_inversions_total", topic=PRODUCTS, reason="order") == counted + len(inverted)


def backward(changes: list[RecordChange]) -> list[int]:
    """Where a change stands whose version lies below one before it."""
    found, newest = [], ""
    for at, change in enumerate(changes):
        if change.kind != "dirty":
            found += [at] if change.version < newest else []
            newest = max(change.version, newest)
    return found


async def test_position_refused_once_is_asked_for_again_and_nothing_is_given_up(world: Shared) -> None:
    await world.in_log(*world.products("Before"))
    heals = await world.metric("ingest_heals_total", topic=PRODUCTS)
    code: Any = "subscription.fetch.replayid.corrupted"
    world.faults.arm(
        pubsub.Error(match=PRODUCTS, code=code, start="custom", count=1), pubsub.End(match=PRODUCTS, count=1)
    )

    changes = await world.in_log(*world.products("After"))

    assert await world.metric("ingest_heals_total", topic=PRODUCTS) == heals
    assert duplicates(changes) == []


async def test_org_that_moves_to_another_instance_is_healed(world: Shared) -> None:
    before = world.products("Before", "Also before")
    await world.in_log(*before)
    heals = await world.metric("ingest_heals_total", topic=PRODUCTS)

    world.sim.do("POST", "/oddities/migrate", {})
    world.sim.do("POST", "/switch", {"salesforce": "off"})
    world.sim.do("POST", "/switch", {"salesforce": "on"})

    changes = await world.in_log(*before, *world.products("After"), within=40)
    assert await world.metric("ingest_heals_total", topic=PRODUCTS) == heals + 1
    assert [mark for mark in await world.log.watermarks("Product2") if (mark.hole_id or "").startswith("replay:")]
    assert duplicates(changes) == []
