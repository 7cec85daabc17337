"""The Pub/Sub client against the simulated org: credit, positions, tokens, trust, and errors by kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import requests

from services.kernel import metrics, valkey
from services.kernel.settings import ValkeySettings
from services.salesforce import door
from services.salesforce.calls import within
from services.salesforce.login import Login
from services.salesforce.pubsub import client
from services.salesforce.pubsub.client import PubSub
from services.salesforce.pubsub.errors import (
    AuthRejected,
    Interrupted,
    PubSubError,
    ReplayRejected,
    SchemaRefused,
    TopicRefused,
)
from services.salesforce.pubsub.org_clock import OrgClock
from services.salesforce.pubsub.subscription import Delivery, Subscription
from services.salesforce.settings import SalesforceSettings
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator, door_settings

PRODUCTS = "/data/Product2ChangeEvent"


@asynccontextmanager
async def opened(settings: SalesforceSettings, valkey_url: str) -> AsyncIterator[tuple[PubSub, Login]]:
    cache = valkey.client(ValkeySettings(valkey_url=valkey_url))
    try:
        async with (
            door.opened(settings, cache, metrics.registry()) as salesforce,
            client.opened(settings, salesforce.login, OrgClock()) as pubsub,
        ):
            yield pubsub, salesforce.login
    finally:
        await cache.aclose()


@pytest.fixture
async def connected(sim: Simulator, valkey_url: str) -> AsyncIterator[tuple[PubSub, Login]]:
    async with opened(door_settings(sim), valkey_url) as both:
        yield both


@pytest.fixture
def pubsub(connected: tuple[PubSub, Login]) -> PubSub:
    return connected[0]


def change(sim: Simulator, count: int) -> None:
    for index in range(count):
        sim.do("POST", "/records/Product2", {"Name": f"N{index}"})


def revoke(sim: Simulator, token: str) -> None:
    requests.post(f"{sim.http}/services/oauth2/revoke", data={"token": token}, timeout=5).raise_for_status()


async def take(subscription: Subscription, count: int) -> list[Delivery]:
    found: list[Delivery] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += [delivery for response in await subscription.receive() for delivery in response.deliveries]
    return found


async def test_no_more_comes_than_was_asked_for(sim: Simulator, pubsub: PubSub) -> None:
    change(sim, 12)

    async with pubsub.subscribed(PRODUCTS, None, 5) as subscription:
        first = await take(subscription, 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(subscription.receive(), 0.3)
        await subscription.ask(7)
        rest = await take(subscription, 7)

    assert len({delivery.replay_id for delivery in (*first, *rest)}) == 12


async def test_everything_that_arrived_is_received_at_once(sim: Simulator, pubsub: PubSub) -> None:
    async with pubsub.subscribed(PRODUCTS, None, 100) as subscription:
        change(sim, 20)
        await eventually(lambda: subscription._arrived.qsize() > 1)
        await asyncio.sleep(0.2)

        assert sum(len(response.deliveries) for response in await subscription.receive()) == 20


async def test_subscription_goes_on_after_the_position_it_was_given(sim: Simulator, pubsub: PubSub) -> None:
    change(sim, 3)
    async with pubsub.subscribed(PRODUCTS, None, 100) as subscription:
        three = await take(subscription, 3)

    async with pubsub.subscribed(PRODUCTS, three[1].replay_id, 100) as subscription:
        assert await take(subscription, 1) == [three[2]]


async def test_revoked_token_is_replaced_before_the_next_call(sim: Simulator, connected: tuple[PubSub, Login]) -> None:
    pubsub, login = connected
    topic = await pubsub.topic(PRODUCTS)
    old = await login.token(within(5))
    revoke(sim, old.access_token)

    assert await pubsub.topic(PRODUCTS) == topic
    assert (await login.token(within(5))).access_token != old.access_token


async def test_stream_with_a_revoked_token_is_refused_and_the_next_one_is_not(
    sim: Simulator, connected: tuple[PubSub, Login]
) -> None:
    pubsub, login = connected
    old = await login.token(within(5))
    revoke(sim, old.access_token)

    async with pubsub.subscribed(PRODUCTS, None, 100) as subscription:
        with pytest.raises(AuthRejected):
            await subscription.receive()
    change(sim, 1)
    async with pubsub.subscribed(PRODUCTS, None, 100) as subscription:
        assert len(await take(subscription, 1)) == 1


async def test_org_tells_the_time_with_its_token(pubsub: PubSub) -> None:
    with pytest.raises(ValueError, match="told"):
        pubsub.org_clock.now_ms()

    await pubsub.topic(PRODUCTS)

    first = pubsub.org_clock.now_ms()
    await asyncio.sleep(0.05)
    assert pubsub.org_clock.now_ms() - first >= 50


async def test_tls_needs_the_right_authority(sim: Simulator, valkey_url: str) -> None:
    trusting = door_settings(sim, tls=True, salesforce_pubsub=sim.grpc_tls, salesforce_pubsub_plaintext=False)
    strange = door_settings(sim, salesforce_pubsub=sim.grpc_tls, salesforce_pubsub_plaintext=False)
    async with opened(trusting, valkey_url) as (pubsub, _):
        assert (await pubsub.topic(PRODUCTS)).name == PRODUCTS
    async with opened(strange, valkey_url) as (pubsub, _):
        with pytest.raises(Interrupted):
            await pubsub.topic(PRODUCTS)


@pytest.mark.parametrize(
    ("topic", "after", "kind"),
    [
        ("/data/NothingChangeEvent", None, TopicRefused),
        (PRODUCTS, b"\x00" * 7 + b"\x01\x00\x00", ReplayRejected),
    ],
)
async def test_refused_stream_says_why_by_kind(
    pubsub: PubSub, topic: str, after: bytes | None, kind: type[PubSubError]
) -> None:
    async with pubsub.subscribed(topic, after, 100) as subscription:
        with pytest.raises(kind):
            await subscription.receive()


async def test_unknown_topic_and_schema_are_refused_by_kind(pubsub: PubSub) -> None:
    with pytest.raises(TopicRefused, match=r"topic\.not\.found"):
        await pubsub.topic("/data/NothingChangeEvent")
    with pytest.raises(SchemaRefused):
        await pubsub.schema("nothing")


async def test_stream_ends_as_interrupted_when_the_org_goes_away(sim: Simulator, pubsub: PubSub) -> None:
    async with pubsub.subscribed(PRODUCTS, None, 100) as subscription:
        await sim.streams(PRODUCTS)
        sim.do("POST", "/switch", {"salesforce": "off"})
        with pytest.raises(Interrupted):
            await asyncio.wait_for(subscription.receive(), 10)
