"""The fulfilment side reports statuses: into the log, clamped, and not behind an order's end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas import versions
from schemas.events import OrderStatus, stamp
from tests.integration.gateway.test_orders import statuses_of
from tests.integration.gateway.world import Client, Got, World, token

SERVICE = token(None, "fulfilment")


async def report(gateway: Client, order_id: str, status: str, key: str | None = None, **more: str) -> Got:
    headers = SERVICE if key is None else SERVICE | {"Idempotency-Key": key}
    return await gateway.post(f"/orders/{order_id}/status", {"status": status, **more}, headers)


async def test_a_report_is_in_the_log_when_it_is_answered(world: World, kafka_bootstrap: str) -> None:
    order_id = world.order("Draft")["Id"]
    at = stamp(datetime.now(UTC) - timedelta(seconds=7))
    async with world.gateway() as gateway:
        answer = await report(gateway, order_id, "Failed", "report-1", reason="PAYMENT_DECLINED", occurredAt=at)

    said = [each for each in await statuses_of(kafka_bootstrap, order_id) if each.version == answer.body["version"]]
    assert answer.status == 202
    assert answer.body["message"] == "Your payment was declined."
    assert [(e.status, e.reason, e.source, e.terminal, stamp(e.occurred_at)) for e in said] == [
        ("Failed", "PAYMENT_DECLINED", "fulfilment", True, at)
    ]


async def test_a_fast_clock_is_clamped(world: World) -> None:
    order_id = world.order("Draft")["Id"]
    async with world.gateway() as gateway:
        answer = await report(gateway, order_id, "Activating", occurredAt=stamp(datetime.now(UTC) + timedelta(hours=1)))

    ahead = datetime.fromisoformat(answer.body["timestamp"]) - datetime.now(UTC)
    assert ahead <= timedelta(seconds=2)


async def test_the_same_report_again_is_the_same_event(world: World, kafka_bootstrap: str) -> None:
    order_id = world.order("Draft")["Id"]
    at = stamp(datetime.now(UTC))
    async with world.gateway() as gateway:
        versions_told = {
            (await report(gateway, order_id, "Activating", "report-same", occurredAt=at)).body["version"]
            for _ in range(3)
        }

    assert len(versions_told) == 1


async def test_a_report_repeated_after_the_next_one_does_not_stand_above_it(world: World) -> None:
    order_id = world.order("Draft")["Id"]
    async with world.gateway() as one, world.gateway() as other:
        first = await report(one, order_id, "Activating", "report-slow")
        second = await report(one, order_id, "Activated", "report-next")
        again = await report(other, order_id, "Activating", "report-slow")

    assert again.body["version"] == first.body["version"] < second.body["version"]


async def test_another_report_under_a_used_key_is_refused(world: World) -> None:
    order_id = world.order("Draft")["Id"]
    async with world.gateway() as gateway:
        await report(gateway, order_id, "Activating", "report-used")
        answer = await report(gateway, order_id, "Failed", "report-used")

    assert (answer.status, answer.body["type"]) == (422, "urn:umbra:problem:key-reused")


async def test_a_report_older_than_the_known_end_is_refused(world: World) -> None:
    order_id = world.order("Activated")["Id"]
    now = datetime.now(UTC)
    at = versions.millis(now)
    await world.project(
        OrderStatus(
            id="end",
            order_id=order_id,
            status="Completed",
            terminal=True,
            occurred_at=now,
            source="salesforce",
            version=versions.status_version(at, "salesforce", 0, 0, True, "end"),
        )
    )
    async with world.gateway() as gateway:
        late = await report(gateway, order_id, "Activated", occurredAt=stamp(now - timedelta(minutes=1)))
        later = await report(gateway, order_id, "Failed", occurredAt=stamp(now + timedelta(seconds=1)))

    assert (late.status, late.body["type"]) == (409, "urn:umbra:problem:order-ended")
    assert later.status == 202


async def test_reports_of_what_does_not_exist_are_refused(world: World) -> None:
    order = world.order()
    customer = token(order["AccountId"])
    async with world.gateway() as gateway:
        answers = [
            await report(gateway, "801000000000999", "Activating"),
            await report(gateway, "001000000000999", "Activating"),
            await report(gateway, "801", "Activating"),
            await report(gateway, order["Id"], "Teleported"),
            await report(gateway, order["Id"], "Failed", reason="free text"),
            await report(gateway, order["Id"], "Failed", reason="PAYMENT_DECLINED\n"),
            await report(gateway, order["Id"], "Activating", occurredAt="2026-11-25T10:00:00"),
            await report(gateway, order["Id"], "Activating", occurredAt="1969-12-31T23:59:59Z"),
            await gateway.post(f"/orders/{order['Id']}/status", {"status": "Activated"}, customer),
        ]

    assert [answer.status for answer in answers] == [404, 404, 400, 422, 400, 400, 400, 400, 403]


async def test_an_order_that_only_salesforce_knows_can_be_reported_on(world: World) -> None:
    order_id = world.order("Draft")["Id"]
    await world.bench.connection.execute("DELETE FROM sf_order_shadow WHERE order_id = $1", order_id)
    async with world.gateway() as gateway:
        answer = await report(gateway, order_id, "Activating")

    assert answer.status == 202
