"""The npm package salesforce-pubsub-api-client, over TLS, accepts what the simulator sends."""

import pytest

from tests.contract.salesforce_sim.node_client import Node, install, node_client
from tests.contract.salesforce_sim.simulator import Simulator

pytestmark = pytest.mark.node
_PRICES = "/data/PricebookEntryChangeEvent"
_ACCOUNTS = "/data/AccountChangeEvent"
_STATUS = "/event/Order_Status__e"


@pytest.fixture(scope="module")
def node() -> Node:
    return install()


async def test_latest_delivers_a_price_change_with_its_changed_fields(sim: Simulator, node: Node) -> None:
    async with node_client(node, sim, "oauth-jwt-bearer", topic=_PRICES, count=1, start="latest") as client:
        await sim.streams(_PRICES)
        row = sim.price("INT-HOME-GOLD-1G", 5123)
        event = await client.next("event")

    header = event["payload"]["ChangeEventHeader"]
    assert header["recordIds"] == [row["Id"]]
    assert header["changeType"] == "UPDATE"
    assert header["changedFields"] == ["UnitPrice", "LastModifiedDate"]
    assert event["payload"]["UnitPrice"] == 5123
    assert event["payload"]["CurrencyIsoCode"] is None


async def test_earliest_delivers_all_retained_events_and_a_replay_id_those_after_it(sim: Simulator, node: Node) -> None:
    for price in (2501, 2502, 2503):
        sim.price("VPN-GERMANY", price)

    async with node_client(node, sim, "oauth-client-credentials", topic=_PRICES, count=100, start="earliest") as client:
        seen = [await client.next("event")]
        while seen[-1]["payload"]["UnitPrice"] != 2503:
            seen.append(await client.next("event"))
    after = next(e["replayId"] for e in seen if e["payload"]["UnitPrice"] == 2501)
    async with node_client(node, sim, "oauth-client-credentials", topic=_PRICES, count=2, start=after) as client:
        again = [await client.next("event"), await client.next("event")]

    assert [e["payload"]["UnitPrice"] for e in again] == [2502, 2503]
    assert [e["replayId"] for e in again] == [e["replayId"] for e in seen[-2:]]


async def test_compound_and_nulled_fields_decode(sim: Simulator, node: Node) -> None:
    account = sim.do("GET", "/demo/accounts")["accounts"][0]["account_id"]
    async with node_client(node, sim, "oauth-jwt-bearer", topic=_ACCOUNTS, count=1, start="latest") as client:
        await sim.streams(_ACCOUNTS)
        fields = {"BillingStreet": "Naka-ku 7-7", "Internet_Eligibility__c": None, "Name": "Renamed Sample"}
        sim.do("PATCH", f"/records/Account/{account}", fields)
        payload = (await client.next("event"))["payload"]

    header = payload["ChangeEventHeader"]
    assert set(header["changedFields"]) == {
        "Name",
        "BillingAddress.Street",
        "LastModifiedDate",
        "Internet_Eligibility__c",
    }
    assert header["nulledFields"] == ["Internet_Eligibility__c"]
    assert payload["BillingAddress"]["Street"] == "Naka-ku 7-7"


async def test_a_published_event_reaches_a_subscriber(sim: Simulator, node: Node) -> None:
    order = sim.do("GET", "/orders")["orders"][0]["id"]
    event = {
        "CreatedDate": 1_700_000_000_000,
        "CreatedById": "005000000000001AAA",
        "Order_Id__c": {"string": order},
        "Account_Id__c": None,
        "Status__c": {"string": "Activating"},
        "Reason__c": None,
        "Occurred_At__c": {"long": 1_700_000_000_000},
    }
    async with node_client(node, sim, "oauth-jwt-bearer", topic=_STATUS, count=1, start="latest") as subscriber:
        await sim.streams(_STATUS)
        async with node_client(node, sim, "oauth-jwt-bearer", topic=_STATUS, publish=event) as publisher:
            result = await publisher.next("published")
        received = await subscriber.next("event")

    assert received["replayId"] == result["replayId"]
    assert received["payload"]["Order_Id__c"] == order


async def test_an_unknown_replay_id_is_told_by_code_and_trailers(sim: Simulator, node: Node) -> None:
    async with node_client(node, sim, "oauth-jwt-bearer", topic=_PRICES, count=1, start=12345) as client:
        error = (await client.line())["error"]

    assert error["code"] == 3
    assert error["trailers"]["error-code"] == "sfdc.platform.eventbus.grpc.subscription.fetch.replayid.corrupted"
    assert f"rpcId: {error['trailers']['rpc-id']}" in error["details"]
