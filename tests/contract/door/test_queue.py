"""The request queue: who goes first, who is turned away, what is tried again, and what a deadline covers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.kernel import settings
from services.salesforce import door
from services.salesforce.bulk import Job
from services.salesforce.calls import CallClass, within
from services.salesforce.door import Door
from services.salesforce.errors import (
    BadRequest,
    BudgetRefused,
    DeadlinePassed,
    LimitExceeded,
    QueueFull,
    Refused,
    Unavailable,
)
from services.salesforce.settings import SalesforceSettings
from tests.support import scripted_http as http
from tests.support.eventually import eventually
from tests.support.salesforce_sim import Simulator
from tests.support.scripted_http import Scripted

LIVE, WRITE, BACKFILL = CallClass.INTERACTIVE, CallClass.WRITE, CallClass.BACKFILL
SOQL = "SELECT Id FROM Product2"
EXPIRED = http.reply(401, [{"errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid"}])
DOWN = http.reply(503, "<html>down</html>", usage=None)


@asynccontextmanager
async def _door(
    valkey: Redis, answer: http.Reply, registry: CollectorRegistry | None = None, **more: Any
) -> AsyncIterator[tuple[Door, Scripted]]:
    async with http.serving(answer) as org:
        values = {
            "salesforce_login_url": org.url,
            "salesforce_client_id": "id",
            "salesforce_client_secret": "secret",
            "salesforce_fleet_processes": 1,
            **more,
        }
        environ = {f"UMBRA_{name.upper()}": str(value) for name, value in values.items()}
        made = settings.load(SalesforceSettings, environ)
        async with door.opened(made, valkey, registry or CollectorRegistry()) as opened:
            yield opened, org


async def _query(opened: Door, call_class: CallClass = LIVE, seconds: float = 5.0, soql: str = SOQL) -> int:
    return (await opened.rest.query(soql, call_class=call_class, deadline=within(seconds))).total


async def test_urgent_calls_pass_waiting_ones(valkey: Redis) -> None:
    gate = asyncio.Event()

    async def gated(request: http.Request, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await http.found()(request, writer)

    async with _door(valkey, gated, salesforce_concurrency=1) as (opened, org):
        running = asyncio.create_task(_query(opened, soql="first"))
        await eventually(lambda: len(org.requests) == 1)
        waiting = [
            asyncio.create_task(_query(opened, call_class, soql=call_class.label)) for call_class in reversed(CallClass)
        ]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(running, *waiting)

    asked = [request.path.rpartition("q=")[2] for request in org.requests]
    assert asked == ["first", *[call_class.label for call_class in CallClass]]


async def test_lower_classes_never_take_every_place(valkey: Redis) -> None:
    async with _door(valkey, http.found(), salesforce_concurrency=4) as (opened, org):
        await _query(opened)
        org.answer = http.hang
        slow = [asyncio.create_task(_query(opened, CallClass.DELTA, soql="slow")) for _ in range(6)]
        await eventually(lambda: len(org.requests) == 1 + 3)
        org.answer = http.found()

        assert await _query(opened) == 0
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_full_waiting_list_turns_the_least_urgent_away(valkey: Redis) -> None:
    async with _door(valkey, http.found(), salesforce_concurrency=1, salesforce_waiting=1) as (opened, org):
        await _query(opened)
        org.answer = http.hang
        tasks = [asyncio.create_task(_query(opened, WRITE, seconds=1.0)) for _ in range(2)]
        await eventually(lambda: len(org.requests) == 2)

        with pytest.raises(QueueFull):
            await _query(opened, BACKFILL)
        urgent = asyncio.create_task(_query(opened, LIVE, seconds=1.0))

        results = await asyncio.gather(*tasks, urgent, return_exceptions=True)
    assert [type(result) for result in results] == [DeadlinePassed, QueueFull, DeadlinePassed]


@pytest.mark.parametrize("behaviour", [http.hang, http.trickle])
async def test_deadline_ends_a_call_that_does_not(valkey: Redis, behaviour: http.Reply) -> None:
    async with _door(valkey, http.found()) as (opened, org):
        await _query(opened)
        org.answer = behaviour
        with pytest.raises(DeadlinePassed) as caught:
            await _query(opened, seconds=0.3)
        assert not caught.value.unknown_outcome

        org.answer = http.found()
        assert await _query(opened) == 0


async def test_deadline_covers_the_wait_for_a_place(valkey: Redis) -> None:
    async with _door(valkey, http.found(), salesforce_concurrency=1) as (opened, org):
        await _query(opened)
        org.answer = http.hang
        running = asyncio.create_task(_query(opened, seconds=30))
        await eventually(lambda: len(org.requests) == 2)

        with pytest.raises(DeadlinePassed):
            await _query(opened, seconds=0.2)

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_cancelled_call_frees_its_place_at_once(valkey: Redis) -> None:
    async with _door(valkey, http.found(), salesforce_concurrency=1) as (opened, org):
        await _query(opened)
        org.answer = http.hang
        running = asyncio.create_task(_query(opened, seconds=60))
        await eventually(lambda: len(org.requests) == 2)
        org.answer = http.found()

        running.cancel()

        assert await _query(opened, seconds=5) == 0
        assert await valkey.zcard("umbra:{budget}:open") == 1  # the ghost of the counter's start


async def test_closing_ends_every_call(valkey: Redis) -> None:
    async with _door(valkey, http.found()) as (opened, org):
        await _query(opened)
        org.answer = http.hang
        running = [asyncio.create_task(_query(opened, seconds=60)) for _ in range(3)]
        await eventually(lambda: len(org.requests) == 4)
    results = await asyncio.gather(*running, return_exceptions=True)

    assert {type(result) for result in results} == {DeadlinePassed}
    with pytest.raises(Unavailable):
        await _query(opened)


async def test_refused_token_is_renewed_once_for_all(valkey: Redis) -> None:
    async def by_token(request: http.Request, writer: asyncio.StreamWriter) -> None:
        old = request.headers["authorization"] == "Bearer token-1"
        await (EXPIRED if old else http.found())(request, writer)

    async with _door(valkey, http.found()) as (opened, org):
        await _query(opened)
        org.answer = by_token
        await asyncio.gather(*(_query(opened) for _ in range(8)))
        assert org.logins == 2

        org.answer = EXPIRED
        with pytest.raises(Refused) as caught:
            await _query(opened)
        assert caught.value.code == "INVALID_SESSION_ID"
        assert org.logins == 3


async def test_write_is_sent_again_after_a_refused_token(valkey: Redis) -> None:
    created = http.reply(201, {"id": "801000000000001AAA", "success": True, "errors": []})
    async with _door(valkey, http.in_turn(EXPIRED, created)) as (opened, org):
        written = await opened.rest.create("Order", {"Status": "Draft"}, call_class=WRITE, deadline=within(5))

    assert written.record_id == "801000000000001AAA"
    assert len(org.requests) == 2


@pytest.mark.parametrize(
    "bad",
    [
        DOWN,
        http.reply(500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": "x"}]),
        http.reply(406, "", usage=None),
        http.reply(420, "", usage=None),
        http.reply(429, "", usage=None),
        http.reply(200, "<html>login</html>"),
        http.reply(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests Limit exceeded."}]),
        http.hang_up,
    ],
)
async def test_read_is_tried_again(valkey: Redis, bad: http.Reply) -> None:
    async with _door(valkey, http.found()) as (opened, org):
        await _query(opened)
        org.answer = http.in_turn(bad, bad, http.found({"Id": "01t000000000001AAA"}))

        assert await _query(opened) == 1

    assert len(org.requests) == 1 + 3


@pytest.mark.parametrize("bad", [DOWN, http.hang_up])
async def test_write_of_unknown_outcome_is_not_sent_again(valkey: Redis, bad: http.Reply) -> None:
    async with _door(valkey, bad) as (opened, org):
        with pytest.raises(Unavailable) as caught:
            await opened.rest.create("Order", {"Status": "Draft"}, call_class=WRITE, deadline=within(5))

    assert caught.value.unknown_outcome
    assert len(org.requests) == 1


async def test_connection_that_the_org_closed_meanwhile_costs_no_write(valkey: Redis) -> None:
    created = http.reply(201, {"id": "801000000000001AAA", "success": True, "errors": []})

    async def then_close(request: http.Request, writer: asyncio.StreamWriter) -> None:
        await http.found()(request, writer)
        writer.close()
        raise ConnectionError

    async with _door(valkey, then_close) as (opened, org):
        await _query(opened)
        org.answer = created
        await opened.rest.create("Order", {"Status": "Draft"}, call_class=WRITE, deadline=within(5))

    assert len(org.requests) == 2


async def test_failed_login_is_tried_again_for_any_call(valkey: Redis) -> None:
    created = http.reply(201, {"id": "801000000000001AAA", "success": True, "errors": []})
    async with _door(valkey, created) as (opened, org):
        org.login = http.in_turn(DOWN, http.reply(200, org.token()))
        await opened.rest.create("Order", {"Status": "Draft"}, call_class=WRITE, deadline=within(5))

    assert org.logins == 2


async def test_redirected_page_is_never_taken_for_an_empty_one(valkey: Redis) -> None:
    job = Job("750000000000001AAA", 0, "JobComplete", records=0)
    async with _door(valkey, http.reply(302, "", Location="https://elsewhere.example")) as (opened, _):
        with pytest.raises(DeadlinePassed):
            async for _page in opened.bulk.pages(job, call_class=BACKFILL, deadline=within(0.5)):
                pass


async def test_write_without_answer_is_of_unknown_outcome(valkey: Redis) -> None:
    async with _door(valkey, http.found()) as (opened, org):
        await _query(opened)
        org.answer = http.hang
        with pytest.raises(DeadlinePassed) as caught:
            await opened.rest.create("Order", {"Status": "Draft"}, call_class=WRITE, deadline=within(0.3))

    assert caught.value.unknown_outcome


async def test_spent_day_is_neither_retried_nor_asked_again(valkey: Redis) -> None:
    spent = http.reply(
        403,
        [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}],
        "api-usage=1000/1000",
    )
    async with _door(valkey, spent) as (opened, org):
        with pytest.raises(LimitExceeded) as caught:
            await _query(opened)
        assert caught.value.kind == "daily"

        with pytest.raises(BudgetRefused) as refused:
            await _query(opened)
        assert refused.value.reason == "blocked"
        assert 50 < (refused.value.retry_after or 0) <= 60

    assert len(org.requests) == 1


async def test_wrong_request_is_sent_once(valkey: Redis) -> None:
    wrong = http.reply(400, [{"errorCode": "MALFORMED_QUERY", "message": "unexpected token"}])
    async with _door(valkey, wrong) as (opened, org):
        with pytest.raises(BadRequest):
            await _query(opened)

    assert len(org.requests) == 1


async def test_calls_fail_at_once_while_salesforce_is_away(valkey: Redis, registry: CollectorRegistry) -> None:
    async with _door(valkey, http.found(), registry) as (opened, org):
        await _query(opened)
        org.answer = DOWN
        for _ in range(2):
            with pytest.raises(Unavailable):
                await _query(opened)
        sent = len(org.requests)

        with pytest.raises(Unavailable) as caught:
            await _query(opened)
        assert len(org.requests) == sent
        assert caught.value.retry_after is not None

        org.answer = http.found()

        async def back() -> bool:
            try:
                return await _query(opened) == 0
            except Unavailable:
                return False

        await eventually(back)
    assert registry.get_sample_value("salesforce_calls_withheld_total", {"call_class": "interactive", "reason": "away"})


async def test_switched_off_org_is_unavailable_and_comes_back(opened: Door, salesforce_sim: Simulator) -> None:
    await _query(opened)
    salesforce_sim.do("POST", "/switch", {"salesforce": "off"})
    try:
        with pytest.raises(Unavailable):
            await _query(opened, seconds=2)
    finally:
        salesforce_sim.do("POST", "/switch", {"salesforce": "on"})

    async def back() -> bool:
        try:
            return await _query(opened) > 0
        except Unavailable:
            return False

    await eventually(back)


async def test_nobody_listening_is_unavailable(valkey: Redis) -> None:
    async with _door(valkey, http.found()) as (opened, org):
        await _query(opened)
        free = org.url
    async with _door(valkey, http.found(), salesforce_login_url=free) as (opened, _):
        with pytest.raises(Unavailable):
            await _query(opened, seconds=1)


async def test_wrong_credentials_are_refused_and_not_repeated(valkey: Redis) -> None:
    async with _door(valkey, http.found()) as (opened, org):
        org.login = http.reply(400, {"error": "invalid_grant", "error_description": "no"})
        for _ in range(3):
            with pytest.raises(Refused) as caught:
                await _query(opened)
            assert caught.value.code == "invalid_grant"

    assert org.logins == 1
    assert org.requests == []


async def test_first_calls_of_a_process_log_in_once(valkey: Redis) -> None:
    async with _door(valkey, http.found()) as (opened, org):
        await asyncio.gather(*(_query(opened) for _ in range(10)))

    assert org.logins == 1


async def test_aged_token_is_renewed_without_anybody_waiting(valkey: Redis) -> None:
    async with _door(valkey, http.found(), salesforce_token_seconds=1) as (opened, org):
        await _query(opened)

        async def renewed() -> bool:
            await _query(opened)
            return org.logins == 2

        await eventually(renewed)
        await _query(opened)

    used = [request.headers["authorization"] for request in org.requests]
    assert used[-1] == "Bearer token-2"
    assert used == sorted(used)


async def test_composite_sends_exact_money(valkey: Redis) -> None:
    done = http.reply(201, {"id": "802000000000001AAA", "success": True, "errors": []})
    async with _door(valkey, done) as (opened, org):
        await opened.rest.create("OrderItem", {"UnitPrice": Decimal("4980.10")}, call_class=WRITE, deadline=within(5))

    assert org.requests[-1].body == b'{"UnitPrice":4980.10}'
    assert json.loads(org.requests[-1].body)["UnitPrice"] == 4980.1
