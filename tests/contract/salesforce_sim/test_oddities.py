"""Oddities of the org by its control endpoint, as REST, Bulk and Pub/Sub callers meet them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
import pytest

from sandbox.salesforce import avro
from tests.contract.salesforce_sim.pubsub_client import CUSTOM, EARLIEST, Client, Stream, pubsub
from tests.contract.salesforce_sim.simulator import Simulator, running
from tests.support.eventually import eventually

PRODUCTS = "/data/Product2ChangeEvent"
WHERE = "SELECT Id, Name, SystemModstamp FROM Product2 WHERE StockKeepingUnit = 'VPN-UK'"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with running(tmp_path_factory.mktemp("oddities") / "org", "--keepalive", "0.5") as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def usual(odd: Simulator) -> Iterator[None]:
    yield
    odd.do("POST", "/oddities", {"late_reads_ms": [0, 0], "late_events_ms": [0, 0], "multi_entity": False})


def _product(sim: Simulator) -> dict[str, Any]:
    (found,) = sim.query(WHERE)
    return found


def _rename(sim: Simulator, name: str, **more: Any) -> None:
    operation = {"op": "update", "object": "Product2", "id": _product(sim)["Id"], "fields": {"Name": name}}
    sim.do("POST", "/oddities/transaction", {"operations": [operation], **more})


async def _subscribed(client: Client, topic: str, **more: Any) -> Stream:
    stream = client.subscribe()
    await stream.ask(topic, 100, **{"replay_preset": EARLIEST, **more})
    return stream


async def _read_on(stream: Stream) -> None:
    while await stream.answer() is not grpc.aio.EOF:
        pass


def _covered(sim: Simulator) -> datetime:
    now = datetime.now(UTC)
    span = {"start": (now - timedelta(hours=1)).isoformat(), "end": (now + timedelta(minutes=5)).isoformat()}
    answer = sim.call("GET", "/sobjects/Product2/updated/", params=span).json()
    return datetime.fromisoformat(answer["latestDateCovered"])


async def test_a_late_commit_is_read_by_every_way_only_when_it_is_due(odd: Simulator) -> None:
    odd.do("POST", "/oddities", {"late_reads_ms": [1_500, 1_500]})
    before = _product(odd)
    _rename(odd, "Seen late")

    one = odd.call("GET", f"/sobjects/Product2/{before['Id']}").json()
    assert (_product(odd)["Name"], one["Name"]) == (before["Name"], before["Name"])
    await eventually(lambda: _product(odd)["Name"] == "Seen late", within=5)


def test_an_open_transaction_holds_latest_date_covered_back_and_locks_its_records(odd: Simulator) -> None:
    begun = odd.do("POST", "/oddities/begin")["transaction"]
    operation = {"op": "update", "object": "Product2", "id": _product(odd)["Id"], "fields": {"Name": "Held"}}
    odd.do("POST", "/oddities/operate", {"transaction": begun, "operations": [operation]})
    held = _covered(odd)
    locked = odd.call("PATCH", f"/sobjects/Product2/{operation['id']}", json={"Name": "Locked out"})
    odd.do("POST", "/clock", {"offset_ms": 60_000})

    assert _covered(odd) == held
    assert locked.json()[0]["errorCode"] == "UNABLE_TO_LOCK_ROW"
    odd.do("POST", "/oddities/commit", {"transaction": begun})
    assert _product(odd)["Name"] == "Held"
    assert datetime.fromisoformat(_product(odd)["SystemModstamp"]) <= held + timedelta(seconds=5)
    assert _covered(odd) > held


async def test_a_new_field_is_in_describe_and_in_the_schema_of_later_events(odd: Simulator) -> None:
    odd.do("POST", "/oddities/add-field", {"object": "Product2", "name": "Colour__c"})
    described = odd.call("GET", "/sobjects/Product2/describe").json()
    record = odd.call("PATCH", f"/sobjects/Product2/{_product(odd)['Id']}", json={"Colour__c": "blue"})

    assert "Colour__c" in {field["name"] for field in described["fields"]}
    assert record.status_code == 204
    async with pubsub(odd) as client:
        stream = await _subscribed(client, PRODUCTS)
        events = (await stream.answer()).events
        schema = await client.schema(events[-1].event.schema_id)
    assert avro.reader(schema)(events[-1].event.payload)["Colour__c"] == "blue"


async def test_a_stream_ends_when_its_log_is_cut_and_its_position_is_known_no_more(odd: Simulator) -> None:
    _rename(odd, "Before the cut")
    async with pubsub(odd) as client:
        stream = await _subscribed(client, PRODUCTS)
        position = (await stream.answer()).latest_replay_id
        odd.do("POST", "/oddities/forget", {"topic": PRODUCTS})
        with pytest.raises(grpc.aio.AioRpcError):
            await _read_on(stream)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await (await _subscribed(client, PRODUCTS, replay_preset=CUSTOM, replay_id=position)).answer()
    assert "replayid.corrupted" in dict(error.value.trailing_metadata())["error-code"]


async def test_late_events_come_by_themselves_and_the_channel_has_them_too(odd: Simulator) -> None:
    odd.do("POST", "/oddities", {"multi_entity": True, "late_events_ms": [700, 700]})
    async with pubsub(odd) as client:
        stream = await _subscribed(client, "/data/ChangeEvents")
        await stream.answer()  # a keepalive: nothing yet
        _rename(odd, "Told late")
        assert odd.do("GET", "/oddities")["oddities"]["multi_entity"] is True
        while not (answer := await stream.answer()).events:
            pass
        topic = await client.topic("/data/ChangeEvents")
    assert topic.schema_id == ""
    assert answer.events[-1].event.schema_id != ""


async def test_a_history_is_played_on_a_running_org(odd: Simulator) -> None:
    command = ("-m", "sandbox.salesforce.driver", "--control", odd.control, "--seed", "3")
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()

    assert process.returncode == 0
    assert out.startswith(b"seed 3: ")
    assert int(out.split()[2]) > 10


def test_what_nobody_knows_and_what_makes_no_sense_is_refused(odd: Simulator) -> None:
    with pytest.raises(Exception, match="404"):
        odd.do("POST", "/oddities/unheard-of")
    with pytest.raises(Exception, match="400"):
        odd.do("POST", "/oddities", {"lose_share": 7})
    with pytest.raises(Exception, match="400"):
        odd.do("POST", "/clock", {"speed": 0})
