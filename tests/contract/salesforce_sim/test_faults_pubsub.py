"""Each fault of the Pub/Sub API does to a bare gRPC client what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from sandbox.salesforce.faults import pubsub as kinds
from sandbox.salesforce.faults.fault import Fault
from sandbox.salesforce.faults.rest import Revoke
from tests.contract.salesforce_sim.pubsub_client import CUSTOM, EARLIEST, pubsub
from tests.contract.salesforce_sim.simulator import Simulator, running
from tests.support.eventually import eventually
from tests.support.faults import Faults

_PRICES = "/data/PricebookEntryChangeEvent"
_OTHER = "/data/AccountChangeEvent"
_BLANK = "AAAAAAAAAAAAAAAAAAAAAA"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """Keepalives come soon, so a silent stream can be told from a quiet one."""
    state = tmp_path_factory.mktemp("faults") / "org"
    with running(state, "--keepalive", "0.3", "--zero-credit", "30") as simulator:
        simulator.price("VPN-UK", 3000)
        yield simulator


@pytest.fixture
def faults(quick: Simulator) -> Iterator[Faults]:
    board = Faults(quick.control)
    yield board
    board.clear()


async def _ends(stream: Any, within: float = 10) -> grpc.aio.AioRpcError:
    """The error a stream ends with, whatever it sends before."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await _read_on(stream, within)
    return error.value


async def _read_on(stream: Any, within: float) -> None:
    while (await stream.answer(within)) is not grpc.aio.EOF:
        pass


def _code(error: grpc.aio.AioRpcError) -> str:
    trailers = dict(error.trailing_metadata())
    assert trailers["type"] == "Subscribe"
    assert str(error.details()).endswith(f" rpcId: {trailers['rpc-id']}")
    return str(trailers["error-code"]).removeprefix("sfdc.platform.eventbus.grpc.")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("service.unavailable", grpc.StatusCode.INTERNAL),
        ("service.auth.error", grpc.StatusCode.UNAUTHENTICATED),
        ("service.protection.triggered", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("subscription.fetch.replay.repeated", grpc.StatusCode.INTERNAL),
        ("subscription.limit.exceeded", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_an_open_stream_ends_at_once_with_code_and_trailers(
    quick: Simulator, faults: Faults, code: kinds.ErrorCode, status: Any
) -> None:
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10)
        await stream.answer()
        faults.arm(kinds.Error(code=code, at="stream", count=1, match=_PRICES))
        error = await _ends(stream)

    assert error.code() == status
    assert _code(error) == code


async def test_a_fault_meets_only_its_topic_and_only_so_often(quick: Simulator, faults: Faults) -> None:
    (armed,) = faults.arm(kinds.Error(count=2, skip=1, match="/data/Account*"))
    outcomes = []
    async with pubsub(quick) as client:
        for topic in (_OTHER, _PRICES, _OTHER, _OTHER, _OTHER):
            stream = client.subscribe()
            await stream.ask(topic, 1)
            try:
                outcomes.append((await stream.answer()) is not grpc.aio.EOF)
            except grpc.aio.AioRpcError:
                outcomes.append(False)

    assert outcomes == [True, True, False, False, True]
    assert faults.hits(armed) == 2


async def test_chance_repeats_with_its_seed(quick: Simulator, faults: Faults) -> None:
    async def run(seed: int) -> list[bool]:
        faults.arm(kinds.Error(rpc="GetTopic", probability=0.5, seed=seed))
        async with pubsub(quick) as client:
            outcomes = []
            for _ in range(12):
                try:
                    await client.topic(_PRICES)
                    outcomes.append(True)
                except grpc.aio.AioRpcError:
                    outcomes.append(False)
        faults.clear()
        return outcomes

    first, again, other = await run(7), await run(7), await run(8)

    assert first == again != other
    assert {True, False} == set(first)


async def test_a_corrupted_replay_id_is_met_only_from_a_replay_id(quick: Simulator, faults: Faults) -> None:
    faults.arm(kinds.Error(code="subscription.fetch.replayid.corrupted", start="custom"))
    async with pubsub(quick) as client:
        earliest = client.subscribe()
        await earliest.ask(_PRICES, 1, replay_preset=EARLIEST)
        event = (await earliest.events(1))[0]
        custom = client.subscribe()
        await custom.ask(_PRICES, 1, replay_preset=CUSTOM, replay_id=event.replay_id)
        error = await _ends(custom)

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert _code(error) == "subscription.fetch.replayid.corrupted"


async def test_a_stalled_stream_is_silent_and_goes_on_when_the_stall_ends(quick: Simulator, faults: Faults) -> None:
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10)
        await stream.answer()
        (armed,) = faults.arm(kinds.Stall(count=1))
        quick.price("VPN-UK", 3101)
        with pytest.raises(TimeoutError):
            await stream.answer(within=1.0)

    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10)
        await stream.answer()
        (armed,) = faults.arm(kinds.Stall(count=1))
        quick.price("VPN-UK", 3102)
        faults.take_off(armed)
        assert len(await stream.events(1)) == 1


async def test_keepalives_can_be_withheld_while_events_come(quick: Simulator, faults: Faults) -> None:
    (armed,) = faults.arm(kinds.NoKeepalive())
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10)
        await quick.streams(_PRICES)
        quick.price("VPN-UK", 3201)
        assert len((await stream.answer()).events) == 1
        await eventually(lambda: faults.hits(armed) >= 2)
        faults.take_off(armed)
        assert not (await stream.answer()).events


@pytest.mark.parametrize("tls", [False, True])
async def test_a_stream_is_reset_after_so_many_events(quick: Simulator, faults: Faults, tls: bool) -> None:
    """A client may lose what it has not read when the reset comes, so what was sent is asked of the org."""
    for price in range(3300, 3306):
        quick.price("VPN-UK", price)
    before = quick.do("GET", "/state")["delivered_events"].get(_PRICES, 0)
    faults.arm(kinds.Cut(after=4, count=1, http2_code=2))
    async with pubsub(quick, tls=tls) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 100, replay_preset=EARLIEST)
        error = await _ends(stream)
        delivered = quick.do("GET", "/state")["delivered_events"][_PRICES] - before
        other = client.subscribe()
        await other.ask(_PRICES, 6, replay_preset=EARLIEST)
        assert len(await other.events(6)) == 6

    assert delivered == 4
    assert error.code() == grpc.StatusCode.INTERNAL
    assert "RST_STREAM" in str(error.details())
    assert "error-code" not in dict(error.trailing_metadata() or ())


async def test_a_connection_is_reset_under_its_streams(quick: Simulator, faults: Faults) -> None:
    async with pubsub(quick) as client:
        stream, bystander = client.subscribe(), client.subscribe()
        await stream.ask(_PRICES, 10)
        await bystander.ask(_OTHER, 10)
        await stream.answer()
        faults.arm(kinds.Cut(how="connection", count=1, match=_PRICES))
        errors = [await _ends(stream), await _ends(bystander)]

    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}


async def test_in_a_black_hole_nothing_moves_any_more(quick: Simulator, faults: Faults) -> None:
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10)
        await stream.answer()
        faults.arm(kinds.Cut(how="black_hole", count=1))
        with pytest.raises(TimeoutError):
            await stream.answer(within=1.0)
    async with pubsub(quick) as client:
        assert (await client.topic(_PRICES)).can_subscribe


async def test_a_stream_can_end_well_in_the_middle(quick: Simulator, faults: Faults) -> None:
    faults.arm(kinds.End(count=1))
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10)
        assert await stream.answer() is grpc.aio.EOF


async def test_delivered_twice_is_the_same_event_and_counts_twice(quick: Simulator, faults: Faults) -> None:
    before = quick.do("GET", "/state")["delivered_events"].get(_PRICES, 0)
    faults.arm(kinds.Duplicate(count=1))
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10)
        await quick.streams(_PRICES)
        quick.price("VPN-UK", 3401)
        first, second = await stream.events(2)
        quick.price("VPN-UK", 3402)
        (third,) = await stream.events(1)

    assert first == second != third
    assert quick.do("GET", "/state")["delivered_events"][_PRICES] == before + 3


@pytest.mark.parametrize(
    ("fault", "event_has", "answer_has"),
    [(kinds.NoReplayId(count=1), False, True), (kinds.NoLatestReplayId(count=1), True, False)],
)
async def test_positions_can_be_empty(
    quick: Simulator, faults: Faults, fault: Fault, event_has: bool, answer_has: bool
) -> None:
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10, replay_preset=EARLIEST)
        faults.arm(fault)
        await stream.events(1)
    faults.clear()
    faults.arm(fault)
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 1, replay_preset=EARLIEST)
        answer = await stream.answer()

    assert bool(answer.events[0].replay_id) is event_has
    assert bool(answer.latest_replay_id) is answer_has


@pytest.mark.parametrize("how", ["payload", "schema_id"])
async def test_an_event_that_cannot_be_read_is_good_the_next_time(quick: Simulator, faults: Faults, how: Any) -> None:
    faults.arm(kinds.Undecodable(how=how, count=1))
    events = []
    for _ in range(2):
        async with pubsub(quick) as client:
            stream = client.subscribe()
            await stream.ask(_PRICES, 1, replay_preset=EARLIEST)
            events += await stream.events(1)
    bad, good = events

    assert bad.replay_id == good.replay_id
    assert (bad.event.payload != good.event.payload) is (how == "payload")
    assert (bad.event.schema_id == _BLANK) is (how == "schema_id")


async def test_answers_can_be_sliced(quick: Simulator, faults: Faults) -> None:
    for price in (3501, 3502, 3503):
        quick.price("VPN-UK", price)
    faults.arm(kinds.Slices(events=2))
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 100, replay_preset=EARLIEST)
        sizes = [len((await stream.answer()).events) for _ in range(2)]

    assert sizes == [2, 2]


async def test_a_stream_without_credit_can_be_closed_early(quick: Simulator, faults: Faults) -> None:
    faults.arm(kinds.ZeroCredit(seconds=0.1))
    async with pubsub(quick) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 1, replay_preset=EARLIEST)
        await stream.events(1)
        assert await stream.answer() is grpc.aio.EOF


async def test_a_schema_can_be_slow_or_not_to_be_had(quick: Simulator, faults: Faults) -> None:
    name = "PricebookEntryChangeEvent"
    async with pubsub(quick) as client:
        schema_id = (await client.topic(_PRICES)).schema_id
        faults.arm(kinds.Error(rpc="GetSchema", code="schema.api.unavailable", count=1, match=name))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client.schema(schema_id)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        faults.arm(kinds.Slow(seconds=0.2, count=1, match=name))
        assert name in await client.schema(schema_id)

    assert [entry["left"] for entry in faults.all()] == [0, 0]


async def test_a_token_revoked_in_mid_stream_ends_it_and_is_void_elsewhere(quick: Simulator, faults: Faults) -> None:
    token = quick.token()
    async with pubsub(quick, accesstoken=token) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10)
        await stream.answer()
        faults.arm(Revoke(on="stream", count=1))
        error = await _ends(stream)

    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert quick.get_as(token, "/limits").status_code == 401
    assert quick.get_as(quick.token(), "/limits").status_code == 200


async def test_revoking_all_tokens_leaves_an_open_stream_open(quick: Simulator, faults: Faults) -> None:
    tokens = [quick.token(), quick.token()]
    async with pubsub(quick, accesstoken=tokens[0]) as client:
        stream = client.subscribe()
        await stream.ask(_PRICES, 10)
        await stream.answer()
        faults.arm(Revoke(tokens="all", count=1, match="GET /limits"))
        assert quick.get_as(tokens[1], "/limits").status_code == 401
        await stream.answer()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await client.topic(_PRICES)

    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_the_day_s_deliveries_are_counted_and_end_the_stream(state_dir: Path) -> None:
    with running(state_dir, "--daily-events", "3") as sim:
        for price in range(3600, 3605):
            sim.price("VPN-UK", price)
        async with pubsub(sim) as client:
            stream = client.subscribe()
            await stream.ask(_PRICES, 100, replay_preset=EARLIEST)
            got = await stream.events(3)
            error = await _ends(stream)
            again = client.subscribe()
            await again.ask(_PRICES, 1, replay_preset=EARLIEST)
            refused = await _ends(again)
            sim.do("POST", "/allowances", {"daily_delivered_events": 10})
            rest = client.subscribe()
            await rest.ask(_PRICES, 2, replay_preset=CUSTOM, replay_id=got[-1].replay_id)
            assert len(await rest.events(2)) == 2
        limits = sim.call("GET", "/limits").json()["DailyDeliveredPlatformEvents"]

    assert _code(error) == _code(refused) == "subscription.limit.exceeded"
    assert limits == {"Max": 10, "Remaining": 5}
