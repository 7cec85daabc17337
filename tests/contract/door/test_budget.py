"""The fleet's API budget on a real Valkey: no call of ours ever starts below its floor, whatever is lost or late."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field, replace

import pytest
from redis.asyncio import Redis

from services.salesforce.answers import Usage
from services.salesforce.budget import SharedBudget
from services.salesforce.calls import CallClass
from services.salesforce.fleet import FleetBudget, Limits
from services.salesforce.grants import Grant, Withheld
from services.salesforce.solo import SoloBudget
from tests.support.eventually import eventually

LIVE, BACKFILL = CallClass.INTERACTIVE, CallClass.BACKFILL
FLOORS = {
    CallClass.INTERACTIVE: 0.05,
    CallClass.WRITE: 0.01,
    CallClass.REPAIR: 0.15,
    CallClass.DELTA: 0.25,
    CallClass.BACKFILL: 0.40,
}
TASKS = 24
LIMITS = Limits(floors=FLOORS, fleet=TASKS, call_ms=400, probe_ms=50, window_ms=0)
COUNTER = "umbra:{budget}:counter"


@dataclass(slots=True)
class Org:
    """Counts calls as Salesforce does: some time after they start; its headers may overtake each other."""

    max: int = 2_000
    used: int = 0
    below_floor: int = 0
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    async def call(self, floor: float) -> Usage:
        await asyncio.sleep(self.rng.random() * 0.004)
        self.used += 1
        self.below_floor += self.used > self.max * (1 - floor)
        usage = Usage(self.used, self.max)
        await asyncio.sleep(self.rng.random() * 0.004)
        return usage


async def _caller(budget: FleetBudget, org: Org, call_class: CallClass, crash: float = 0.0) -> None:
    """Calls until the floor refuses it for good."""
    refused = 0
    while refused < 20:
        leave = await budget.reserve(call_class, 10)
        if isinstance(leave, Withheld):
            refused += leave.reason == "floor"
            await asyncio.sleep(0.01)
            continue
        refused = 0
        if org.rng.random() < crash / 2:
            continue  # died before it sent anything
        usage = await org.call(FLOORS[call_class])
        if org.rng.random() >= crash / 2:
            await budget.settle(leave, usage, spent=False)


async def _fleet(budget: FleetBudget, org: Org, call_class: CallClass = LIVE, crash: float = 0.0) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*(_caller(budget, org, call_class, crash) for _ in range(TASKS)))


async def _granted(budget: FleetBudget, call_class: CallClass = LIVE) -> Grant:
    leave = await budget.reserve(call_class, 10)
    assert isinstance(leave, Grant), leave
    return leave


async def _known(budget: FleetBudget, used: int, most: int = 1_000) -> None:
    """Bring the counter to a known usage, with nothing open but the ghost of its start."""
    await budget.settle(await _granted(budget), Usage(used, most), spent=False)


async def test_fleet_uses_its_share_and_never_more(valkey: Redis) -> None:
    org = Org()

    await _fleet(FleetBudget(valkey, LIMITS), org, crash=0.02)

    assert org.below_floor == 0
    assert org.used >= org.max * (1 - FLOORS[LIVE]) - 6 * TASKS  # crashed calls count until they are given up


async def test_loss_of_the_counter_costs_a_probe_at_most(valkey: Redis) -> None:
    org = Org()
    losses = 0

    async def lose() -> None:
        nonlocal losses
        while True:
            await asyncio.sleep(0.3)
            await valkey.flushall()
            losses += 1

    losing = asyncio.create_task(lose(), name="losses")
    await asyncio.wait({asyncio.create_task(_fleet(FleetBudget(valkey, LIMITS), org, crash=0.02))}, timeout=25)
    losing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await losing

    assert losses > 1
    assert org.below_floor <= losses
    assert org.used >= org.max // 2


async def test_new_counter_counts_every_call_that_may_still_be_open(valkey: Redis) -> None:
    budget = FleetBudget(valkey, LIMITS)
    await _known(budget, used=100)
    await valkey.flushall()

    await _known(budget, used=500)

    assert (await budget.standing()).expected == 500 + TASKS + 1

    async def ghost_gone() -> bool:
        await _known(budget, used=501)
        return (await budget.standing()).expected == 502

    await eventually(ghost_gone)


async def test_calls_of_others_lower_the_bound_by_no_more_than_themselves(valkey: Redis) -> None:
    org = Org()
    foreign = 0

    async def others() -> None:
        nonlocal foreign
        while foreign < 300:
            await asyncio.sleep(0.004)
            org.used += 1
            foreign += 1

    await asyncio.gather(_fleet(FleetBudget(valkey, LIMITS), org), others())

    assert foreign == 300
    assert org.below_floor <= TASKS  # the others' calls since the newest header, of which there is one each 0.3 ms


async def test_lower_class_stops_while_urgent_ones_go_on(valkey: Redis) -> None:
    org = Org(max=1_000)
    budget = FleetBudget(valkey, LIMITS)

    await _fleet(budget, org, BACKFILL)
    after_backfill = org.used
    await _fleet(budget, org, LIVE)

    assert org.below_floor == 0
    assert after_backfill <= 600
    assert org.used > 850


async def test_unknown_usage_lets_one_call_find_out(valkey: Redis) -> None:
    budget = FleetBudget(valkey, replace(LIMITS, probe_ms=60_000))

    leaves = await asyncio.gather(*(budget.reserve(LIVE, 10) for _ in range(10)))

    assert sum(isinstance(leave, Grant) for leave in leaves) == 1
    assert {leave.reason for leave in leaves if isinstance(leave, Withheld)} == {"unknown"}


async def test_bulk_class_learns_by_a_call_for_that_alone(valkey: Redis) -> None:
    leave = await _granted(FleetBudget(valkey, LIMITS), BACKFILL)

    assert leave.learn


async def test_old_header_is_renewed_by_one_call(valkey: Redis) -> None:
    budget = FleetBudget(valkey, replace(LIMITS, fresh_ms=0, probe_ms=60_000))
    await _known(budget, used=100)
    await valkey.delete("umbra:{budget}:probe")
    await asyncio.sleep(0.005)

    first, second = await budget.reserve(LIVE, 10), await budget.reserve(LIVE, 10)

    assert isinstance(first, Grant)
    assert not first.learn
    assert second == Withheld("unknown", 0.05)


async def test_fleet_at_its_floor_still_learns_that_the_day_has_moved_on(valkey: Redis) -> None:
    budget = FleetBudget(valkey, replace(LIMITS, fresh_ms=0))
    await _known(budget, used=990)
    await asyncio.sleep(0.1)

    leave = await _granted(budget)

    assert leave.learn


async def test_late_header_does_not_replace_a_newer_one(valkey: Redis) -> None:
    budget = FleetBudget(valkey, LIMITS)
    await _known(budget, used=100)
    early = await _granted(budget)
    late = await _granted(budget)
    await budget.settle(late, Usage(110, 1_000), spent=False)
    newest = await _granted(budget)
    await budget.settle(newest, Usage(111, 1_000), spent=False)

    await budget.settle(early, Usage(101, 1_000), spent=False)

    assert (await budget.standing()).used == 111


async def test_falling_usage_is_believed_from_a_later_call(valkey: Redis) -> None:
    budget = FleetBudget(valkey, LIMITS)
    await _known(budget, used=900)

    await _known(budget, used=200)

    assert (await budget.standing()).used == 200


async def test_crashed_call_counts_until_its_deadline_and_once(valkey: Redis) -> None:
    budget = FleetBudget(valkey, replace(LIMITS, fleet=0, call_ms=100))
    await _known(budget, used=100)
    crashed = await _granted(budget)
    assert (await budget.standing()).expected == 100 + 2  # the call that brought the header counts as well

    async def given_up() -> bool:
        await _known(budget, used=102)
        return (await budget.standing()).expected == 103

    await eventually(given_up)
    settled = int(await valkey.hget(COUNTER, "S") or 0)
    await budget.settle(crashed, None, spent=False)
    assert int(await valkey.hget(COUNTER, "S") or 0) == settled


async def test_script_that_runs_twice_takes_one_call(valkey: Redis) -> None:
    budget = FleetBudget(valkey, LIMITS)
    await _known(budget, used=100)
    taken = int(await valkey.hget(COUNTER, "G") or 0)
    arguments: list[str | float] = ["same", 1, 0.05, 400, TASKS, 400, 50, 60_000, 0, 20, 1]

    for _ in range(2):
        await budget._reserve(keys=budget._keys, args=arguments)  # as a client repeats it on a broken connection

    assert int(await valkey.hget(COUNTER, "G") or 0) == taken + 1


async def test_spent_day_blocks_the_whole_fleet(valkey: Redis) -> None:
    budget = FleetBudget(valkey, replace(LIMITS, block_ms=200))
    await budget.settle(await _granted(budget), Usage(100, 1_000), spent=True)

    leave = await budget.reserve(LIVE, 10)

    assert isinstance(leave, Withheld)
    assert leave.reason == "blocked"

    async def unblocked() -> bool:
        return isinstance(await budget.reserve(LIVE, 10), Grant)

    await eventually(unblocked)


async def test_backfill_is_spread_over_the_window(valkey: Redis) -> None:
    budget = FleetBudget(valkey, replace(LIMITS, fleet=0, window_ms=7_200_000, burst=5))
    await _known(budget, used=0, most=2_001)

    leaves = [await budget.reserve(BACKFILL, 10) for _ in range(8)]

    granted = [leave for leave in leaves if isinstance(leave, Grant)]
    assert len(granted) == 6
    last = leaves[-1]
    assert isinstance(last, Withheld)
    assert last.reason == "paced"
    assert 5.5 < (last.wait or 0) < 6.5  # 1,200 calls above the floor over two hours


async def test_server_that_went_back_in_time_begins_a_new_life(valkey: Redis) -> None:
    budget = FleetBudget(valkey, LIMITS)
    for used in range(5):
        await _known(budget, used)
    grant = await _granted(budget)
    await valkey.hset(COUNTER, "S", 1)  # what a stale replica would hold

    await budget.settle(grant, Usage(6, 1_000), spent=False)

    assert (await budget.standing()).used is None
    assert int(await valkey.hget(COUNTER, "G") or 0) == TASKS


async def test_unreachable_counter_leaves_each_process_little_and_only_for_what_is_urgent(valkey: Redis) -> None:
    nowhere: Redis = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=0.2)
    budget = SharedBudget(FleetBudget(nowhere, LIMITS), SoloBudget(FLOORS, processes=4))

    assert await budget.reserve(BACKFILL, 10) == Withheld("alone")
    learning = await budget.reserve(LIVE, 10)
    assert isinstance(learning, Grant)
    assert await budget.reserve(LIVE, 10) == Withheld("alone", 0.05)
    await budget.settle(learning, Usage(100, 1_000), spent=False)

    leaves = [await budget.reserve(CallClass.WRITE, 10) for _ in range(4)]

    assert [isinstance(leave, Grant) for leave in leaves] == [True, True, True, False]
    await nowhere.aclose()


@pytest.mark.parametrize(("used", "granted"), [(936, True), (938, False)])
async def test_process_alone_leaves_room_for_the_calls_of_the_others(valkey: Redis, used: int, granted: bool) -> None:
    solo = SoloBudget(FLOORS, processes=4)
    first = await solo.reserve(LIVE, 10)
    assert isinstance(first, Grant)
    await solo.settle(first, Usage(used, 1_000), spent=False)

    # 1000 - 936 - 4 x 3 - 1 = 51, and the floor is 50.
    assert isinstance(await solo.reserve(LIVE, 10), Grant) == granted
