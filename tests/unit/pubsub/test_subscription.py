"""What a response without events claims: never more than that nothing lay between it and when it was read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from services.salesforce.pubsub.errors import Interrupted
from services.salesforce.pubsub.generated import pubsub_api_pb2 as pb
from services.salesforce.pubsub.pulse import Pulse
from services.salesforce.pubsub.subscription import Fetched, Subscription

EMPTY = pb.FetchResponse(latest_replay_id=b"\x01", pending_num_requested=100)
EVENT = pb.FetchResponse(events=[pb.ConsumerEvent(replay_id=b"\x02")], latest_replay_id=b"\x02")


class Call:
    """A stream whose responses a test sends."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Any] = asyncio.Queue()

    async def read(self) -> Any:
        return await self.sent.get()

    def cancel(self) -> None: ...


def org_ms() -> int:
    return int(time.monotonic() * 1000)


@pytest.fixture
async def call() -> Call:
    return Call()


@pytest.fixture
async def stream(call: Call) -> AsyncIterator[Subscription]:
    made = Subscription(call, "/data/x", lambda error: None, org_ms)
    yield made
    await made.close()


async def received(stream: Subscription, number: int) -> list[Fetched]:
    found: list[Fetched] = []
    async with asyncio.timeout(10):
        while len(found) < number:
            found += await stream.receive()
    return found


async def test_quiet_stream_is_dated_by_when_its_response_was_read(call: Call, stream: Subscription) -> None:
    await asyncio.sleep(0.6)  # the stream is older than the answer
    sent = org_ms()
    call.sent.put_nowait(EMPTY)

    (quiet,) = await received(stream, 1)

    assert sent <= quiet.received_ms <= org_ms()
    assert (quiet.deliveries, quiet.latest) == ((), b"\x01")


@pytest.mark.parametrize("behind", [EVENT, grpc.aio.EOF], ids=["an event", "the end"])
async def test_response_with_something_right_behind_it_claims_nothing_new(
    call: Call, stream: Subscription, behind: Any
) -> None:
    await asyncio.sleep(0.3)
    stalled = org_ms()
    call.sent.put_nowait(EMPTY)
    call.sent.put_nowait(behind)

    (quiet, *_) = await received(stream, 1)

    assert (quiet.deliveries, quiet.latest) == ((), b"\x01")
    assert quiet.received_ms < stalled


async def test_response_after_the_loop_was_blocked_is_dated_before_that(call: Call, stream: Subscription) -> None:
    await asyncio.sleep(0.6)
    call.sent.put_nowait(EMPTY)
    blocked = org_ms()
    time.sleep(1.2)  # noqa: ASYNC251  nothing is read meanwhile, and nothing lies behind it

    (quiet,) = await received(stream, 1)

    assert quiet.received_ms <= blocked


async def test_responses_faster_than_quiet_takes_to_settle_are_dated_too(call: Call, stream: Subscription) -> None:
    began = org_ms()

    async def often() -> None:
        while True:
            call.sent.put_nowait(EMPTY)
            await asyncio.sleep(0.1)

    sending = asyncio.create_task(often())
    try:
        dates = [quiet.received_ms for quiet in await received(stream, 3)]
    finally:
        sending.cancel()

    assert began <= dates[0] < dates[1] < dates[2]


async def test_response_when_no_event_was_owed_moves_nothing(call: Call, stream: Subscription) -> None:
    began = org_ms()
    call.sent.put_nowait(pb.FetchResponse(latest_replay_id=b"\x01"))

    (quiet,) = await received(stream, 1)

    assert (quiet.deliveries, quiet.latest) == ((), b"")
    assert quiet.received_ms <= began


async def test_stream_that_ends_says_so_after_what_it_held(call: Call, stream: Subscription) -> None:
    call.sent.put_nowait(EMPTY)
    call.sent.put_nowait(grpc.aio.EOF)

    assert len(await received(stream, 1)) == 1
    with pytest.raises(Interrupted):
        await stream.receive()


@pytest.fixture
def at() -> list[float]:
    return [100.0]


@pytest.fixture
def pulse(at: list[float]) -> Pulse:
    clock: Callable[[], float] = lambda: at[0]  # noqa: E731
    return Pulse(clock, lambda: int(at[0] * 1000))


def test_process_that_runs_dates_by_now(pulse: Pulse, at: list[float]) -> None:
    at[0] += 0.25

    assert pulse.beat() == 100_250


def test_process_that_stood_still_dates_by_the_last_beat_until_it_is_steady_again(
    pulse: Pulse, at: list[float]
) -> None:
    found = []
    for seconds in (12.0, 0.25, 0.25, 0.25, 0.25):
        at[0] += seconds
        found.append(pulse.beat())

    assert found == [100_000, 100_000, 100_000, 100_000, 113_000]
