"""Who may share a fetch: whoever has seen the same nonces, and whoever came before it began."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway.flights import Flights
from tests.support.eventually import eventually


class Source:
    """Hands out the number of the fetch, once it may."""

    def __init__(self) -> None:
        self.begun = 0
        self.open = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        mine = self.begun
        await self.open.wait()
        return mine


async def begun(source: Source, count: int) -> None:
    await eventually(lambda: source.begun >= count)


async def test_callers_who_saw_the_same_nonces_share_a_fetch() -> None:
    flights, source = Flights[int](), Source()
    callers = [asyncio.create_task(flights.run("k", b"n", source)) for _ in range(5)]
    await begun(source, 1)
    source.open.set()

    assert set(await asyncio.gather(*callers)) == {1}


async def test_a_caller_who_saw_other_nonces_fetches_anew() -> None:
    flights, source = Flights[int](), Source()
    first = asyncio.create_task(flights.run("k", b"old", source))
    await begun(source, 1)
    second = asyncio.create_task(flights.run("k", b"new", source))
    await begun(source, 2)
    source.open.set()

    assert (await first, await second) == (1, 2)


async def test_without_nonces_those_who_come_later_share_the_fetch_that_begins_after_them() -> None:
    flights, source = Flights[int](), Source()
    first = asyncio.create_task(flights.run("k", None, source))
    await begun(source, 1)
    later = [asyncio.create_task(flights.run("k", None, source)) for _ in range(5)]
    await asyncio.sleep(0)
    assert source.begun == 1
    source.open.set()

    assert await first == 1
    assert set(await asyncio.gather(*later)) == {2}
    assert len(flights) == 0


async def test_a_caller_who_goes_leaves_the_fetch_to_the_others() -> None:
    flights, source = Flights[int](), Source()
    goes = asyncio.create_task(flights.run("k", b"n", source))
    stays = asyncio.create_task(flights.run("k", b"n", source))
    await begun(source, 1)
    goes.cancel()
    source.open.set()

    assert await stays == 1


async def test_a_failed_fetch_fails_for_all_who_shared_it_and_the_next_begins_anew() -> None:
    flights, calls = Flights[int](), 0

    async def fails() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        raise LookupError

    results = await asyncio.gather(*(flights.run("k", b"n", fails) for _ in range(3)), return_exceptions=True)

    assert [type(result) for result in results] == [LookupError] * 3
    assert calls == 1
    with pytest.raises(LookupError):
        await flights.run("k", b"n", fails)
    assert calls == 2


async def test_closing_ends_what_is_under_way() -> None:
    flights, source = Flights[int](), Source()
    caller = asyncio.create_task(flights.run("k", b"n", source))
    await begun(source, 1)

    await flights.close()

    with pytest.raises(asyncio.CancelledError):
        await caller
