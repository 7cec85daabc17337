"""Credit, keepalive, replay and errors of the Pub/Sub API."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import fastavro
import grpc
import grpc.aio
import pytest

from sandbox.salesforce import avro
from sandbox.salesforce.generated import pubsub_api_pb2 as pb
from tests.contract.salesforce_sim.pubsub_client import CUSTOM, EARLIEST, Client, Stream, pubsub
from tests.contract.salesforce_sim.simulator import Simulator, running

_PRICES = "/data/PricebookEntryChangeEvent"
_ORDERS = "/data/OrderChangeEvent"
_STATUS = "/event/Order_Status__e"
_CODE = "sfdc.platform.eventbus.grpc."


async def decode(client: Client, event: Any) -> dict[str, Any]:
    """An event by an Avro reader that is not the simulator's own."""
    schema = fastavro.parse_schema(json.loads(await client.schema(event.event.schema_id)))
    found = fastavro.schemaless_reader(io.BytesIO(event.event.payload), schema, None)
    assert isinstance(found, dict)
    return found


async def failure(stream: Stream) -> tuple[grpc.StatusCode, dict[str, str], str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stream.answer()
    error = raised.value
    return error.code(), {k: str(v) for k, v in error.trailing_metadata() or ()}, error.details() or ""


async def test_credit_is_capped_at_a_hundred_and_counted_down(sim: Simulator) -> None:
    async with pubsub(sim) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 250)
        await sim.streams(_PRICES)
        sim.price("VPN-UK", 2601)

        answer = await stream.answer()

    assert len(answer.events) == 1
    assert answer.pending_num_requested == 99
    assert answer.latest_replay_id == answer.events[-1].replay_id


async def test_events_wait_for_credit(sim: Simulator) -> None:
    async with pubsub(sim) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 2)
        await sim.streams(_PRICES)
        for price in (2611, 2612, 2613):
            sim.price("VPN-UK", price)
        first = await stream.events(2)
        await stream.ask(_PRICES, 1)
        rest = await stream.events(1)
        prices = [(await decode(client, e))["UnitPrice"] for e in first + rest]

    assert prices == [2611, 2612, 2613]


async def test_a_quiet_stream_gets_a_position_it_can_resume_from(tmp_path: Path) -> None:
    with running(tmp_path / "org", "--keepalive", "0.2") as sim:
        async with pubsub(sim) as client:
            stream = client.subscribe()
            await stream.ask(_ORDERS, 5)
            keepalive = await stream.answer()
            assert not keepalive.events
            assert keepalive.pending_num_requested == 5
            assert len(keepalive.latest_replay_id) == 10

            order = sim.do("GET", "/orders")["orders"][0]["id"]
            sim.do("POST", f"/orders/{order}/status", {"status": "Activating"})
            resumed = client.subscribe()
            await resumed.ask(_ORDERS, 5, replay_preset=CUSTOM, replay_id=keepalive.latest_replay_id)
            events = await resumed.events(1)

    assert events[0].replay_id > keepalive.latest_replay_id


async def test_asking_for_more_does_not_put_a_keepalive_off(tmp_path: Path) -> None:
    with running(tmp_path / "org", "--keepalive", "0.5") as sim:
        async with pubsub(sim) as client:
            stream = client.subscribe()
            await stream.ask(_ORDERS, 1)
            answer = asyncio.create_task(stream.answer())
            while not answer.done():
                await stream.ask(_ORDERS, 1)
                await asyncio.sleep(0.05)

    assert not (await answer).events


async def test_a_stream_of_publish_requests_is_answered_one_by_one(sim: Simulator) -> None:
    async with pubsub(sim) as client:
        topic = await client.topic(_STATUS)
        write = avro.writer(await client.schema(topic.schema_id))
        payload = write({"CreatedDate": 1, "CreatedById": "005000000000001AAA", "Status__c": "Draft"})
        good = pb.ProducerEvent(id="one", schema_id=topic.schema_id, payload=payload)
        bad = pb.ProducerEvent(id="two", schema_id=topic.schema_id, payload=b"\x01")
        stream = client.publish_stream()
        await stream.write(pb.PublishRequest(topic_name=_STATUS, events=[good, bad]))
        first = await stream.read()
        await stream.write(pb.PublishRequest(events=[good]))
        second = await stream.read()

    assert [r.correlation_key for r in first.results] == ["one", "two"]
    assert first.results[1].error.code == pb.ErrorCode.PUBLISH
    assert second.results[0].replay_id > first.results[0].replay_id


async def test_a_stream_without_credit_is_closed(tmp_path: Path) -> None:
    with running(tmp_path / "org", "--zero-credit", "0.2") as sim:
        async with pubsub(sim) as client:
            stream = client.subscribe()
            await stream.ask(_PRICES, 1)
            await sim.streams(_PRICES)
            sim.price("VPN-UK", 2650)
            await stream.events(1)

            assert await stream.answer() is grpc.aio.EOF


async def test_custom_starts_after_the_given_event_whatever_later_requests_say(sim: Simulator) -> None:
    async with pubsub(sim, tls=True) as client:
        first = client.subscribe()
        await first.ask(_PRICES, 100)
        await sim.streams(_PRICES)
        for price in (2701, 2702, 2703):
            sim.price("VPN-JAPAN", price)
        seen = await first.events(3)
        again = client.subscribe()
        await again.ask(_PRICES, 1, replay_preset=CUSTOM, replay_id=seen[0].replay_id)
        await again.ask(_PRICES, 1, replay_preset=EARLIEST)
        repeated = await again.events(2)

    assert [e.replay_id for e in repeated] == [e.replay_id for e in seen[1:]]


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        ({"topic": _PRICES, "count": 0}, "subscription.fetch.requested.events.invalid"),
        ({"topic": "", "count": 1}, "topic.validation.empty"),
        ({"topic": _PRICES, "count": 1, "replay_preset": CUSTOM}, "subscription.fetch.replayid.validation.failed"),
        (
            {"topic": _PRICES, "count": 1, "replay_preset": CUSTOM, "replay_id": b"\0" * 10},
            "subscription.fetch.replayid.corrupted",
        ),
    ],
)
async def test_bad_requests_end_the_stream_with_their_code(sim: Simulator, ask: dict[str, Any], code: str) -> None:
    async with pubsub(sim) as client:
        stream = client.subscribe()
        await stream.ask(**ask)
        status, trailers, details = await failure(stream)

    assert status == grpc.StatusCode.INVALID_ARGUMENT
    assert trailers["error-code"] == _CODE + code
    assert trailers["type"] == "Subscribe"
    assert details.endswith(f" rpcId: {trailers['rpc-id']}")


async def test_another_topic_later_ends_the_stream(sim: Simulator) -> None:
    async with pubsub(sim) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 1)
        await stream.ask(_ORDERS, 1)
        _, trailers, _ = await failure(stream)

    assert trailers["error-code"] == _CODE + "subscription.fetch.topic.mismatch"


async def test_unknown_topic_and_wrong_token_have_their_own_status(sim: Simulator) -> None:
    async with pubsub(sim) as client, pubsub(sim, accesstoken="00D!nonsense") as stranger:
        unknown, rejected = client.subscribe(), stranger.subscribe()
        await unknown.ask("/data/CaseChangeEvent", 1)
        await rejected.ask(_PRICES, 1)

        assert (await failure(unknown))[0] == grpc.StatusCode.NOT_FOUND
        status, trailers, _ = await failure(rejected)

    assert status == grpc.StatusCode.UNAUTHENTICATED
    assert trailers["error-code"] == _CODE + "service.auth.error"


async def test_switched_off_every_stream_dies_and_comes_back_later(sim: Simulator) -> None:
    async with pubsub(sim) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 1)
        await sim.streams(_PRICES)
        sim.do("POST", "/switch", {"salesforce": "off"})
        try:
            assert (await failure(stream))[0] == grpc.StatusCode.UNAVAILABLE
            refused = client.subscribe()
            await refused.ask(_PRICES, 1)
            assert (await failure(refused))[0] == grpc.StatusCode.UNAVAILABLE
        finally:
            sim.do("POST", "/switch", {"salesforce": "on"})

        assert (await client.topic(_PRICES)).can_subscribe


async def test_a_stopping_org_ends_its_streams_and_logs_no_error(tmp_path: Path) -> None:
    with running(tmp_path / "org") as sim:
        async with pubsub(sim) as client:
            stream = client.subscribe()
            await stream.ask(_PRICES, 1)
            await sim.streams(_PRICES)
            sim.process.terminate()
            status, _, _ = await failure(stream)

    assert status == grpc.StatusCode.UNAVAILABLE
    assert "ERROR" not in sim.log.read_text()


async def test_a_status_change_makes_a_change_event_and_a_platform_event(sim: Simulator) -> None:
    order = next(o for o in sim.do("GET", "/orders")["orders"] if o["status"] == "Draft")
    async with pubsub(sim) as client:
        changes, statuses = client.subscribe(), client.subscribe()
        await changes.ask(_ORDERS, 10)
        await statuses.ask(_STATUS, 10)
        await sim.streams(_ORDERS)
        await sim.streams(_STATUS)
        sim.do("POST", f"/orders/{order['id']}/status", {"status": "Failed", "reason": "NO_LINE"})
        change = await decode(client, (await changes.events(1))[0])
        status = await decode(client, (await statuses.events(1))[0])

    assert change["Status"] == "Failed"
    assert change["ChangeEventHeader"]["recordIds"] == [order["id"]]
    assert status["Order_Id__c"] == order["id"]
    assert status["Account_Id__c"].startswith("001")
    assert (status["Status__c"], status["Reason__c"]) == ("Failed", "NO_LINE")
    assert status["Occurred_At__c"] == change["ChangeEventHeader"]["commitTimestamp"]
    assert status["Occurred_At__c"] % 1000 == 0


async def test_an_order_with_lines_is_one_transaction_and_its_create_names_no_changed_fields(sim: Simulator) -> None:
    entry = sim.query(
        "SELECT Id, Pricebook2Id, UnitPrice FROM PricebookEntry "
        "WHERE Product2.StockKeepingUnit = 'SIM-DATA-10GB' AND Pricebook2.Name = 'Umbra Portal' "
        "AND CurrencyIsoCode = 'JPY'"
    )[0]
    operations = [
        {
            "method": "POST",
            "url": f"/services/data/v{sim.api_version}/sobjects/Order",
            "referenceId": "order",
            "body": {"Status": "Draft", "EffectiveDate": "2026-02-03", "Pricebook2Id": entry["Pricebook2Id"]},
        },
        {
            "method": "POST",
            "url": f"/services/data/v{sim.api_version}/sobjects/OrderItem",
            "referenceId": "line",
            "body": {
                "OrderId": "@{order.id}",
                "PricebookEntryId": entry["Id"],
                "Quantity": 2,
                "UnitPrice": entry["UnitPrice"],
            },
        },
    ]
    async with pubsub(sim) as client:
        stream = client.subscribe()
        await stream.ask(_ORDERS, 10)
        await sim.streams(_ORDERS)
        answer = sim.call("POST", "/composite", json={"allOrNone": True, "compositeRequest": operations}).json()
        event = await decode(client, (await stream.events(1))[0])

    assert [part["httpStatusCode"] for part in answer["compositeResponse"]] == [201, 201]
    header = event["ChangeEventHeader"]
    assert (header["changeType"], header["changedFields"]) == ("CREATE", [])
    assert (event["Status"], event["TotalAmount"]) == ("Draft", 2 * entry["UnitPrice"])
    assert event["EffectiveDate"] == 1_770_076_800_000


async def test_price_entry_events_carry_no_derived_field(sim: Simulator) -> None:
    async with pubsub(sim) as client:
        schema = json.loads(await client.schema((await client.topic(_PRICES)).schema_id))

    names = {field["name"] for field in schema["fields"]}
    assert not names & {"Name", "ProductCode", "IsDeleted", "SystemModstamp", "Id"}
    assert {"UnitPrice", "IsActive", "Pricebook2Id", "Product2Id", "CurrencyIsoCode"} <= names
