"""Placing an order: once for each key, at the catalog's price, and in the log before it is answered."""

from __future__ import annotations

import asyncio
from typing import Any

from schemas import events, topics
from schemas.events import OrderStatus, RecordChange
from tests.integration.gateway.log_reader import read_topic
from tests.integration.gateway.world import Client, Got, World, token
from tests.support.eventually import eventually

BODY = {"lines": [{"sku": "INT-HOME-GOLD-1G", "quantity": 1}, {"sku": "ACT-INT-INSTALL-24"}], "currency": "JPY"}


async def place(gateway: Client, account: str, key: str, body: object = BODY) -> Got:
    return await gateway.post("/orders", body, token(account) | {"Idempotency-Key": key})


async def statuses_of(kafka_bootstrap: str, order_id: str) -> list[OrderStatus]:
    said = [events.decode_status(record.value) for record in await read_topic(kafka_bootstrap, topics.ORDER_STATUS)]
    return [each for each in said if each.order_id == order_id]


async def changes_of(kafka_bootstrap: str, order_id: str) -> list[RecordChange]:
    said = [events.decode_change(record.value) for record in await read_topic(kafka_bootstrap, topics.ORDER)]
    return [each for each in said if isinstance(each, RecordChange) and each.record_id == order_id]


def in_org(world: World, account: str) -> list[dict[str, Any]]:
    return [each for each in world.records("Order") if each["AccountId"] == account]


async def test_a_placed_order_is_in_the_org_and_its_draft_in_the_log_when_the_answer_comes(
    world: World, kafka_bootstrap: str
) -> None:
    account = world.account("Home 1G")
    async with world.gateway() as gateway:
        answer = await place(gateway, account, "key-placed")

    assert answer.status == 201, answer.body
    order_id = answer.body["orderId"]
    record = next(each for each in in_org(world, account) if each["Id"] == order_id)
    [draft] = await statuses_of(kafka_bootstrap, order_id)
    [change] = await changes_of(kafka_bootstrap, order_id)
    assert (record["Status"], record["OrderNumber"]) == ("Draft", answer.body["orderNumber"])
    assert answer.body["totalAmount"] == f"{record['TotalAmount']:.2f}" == "6430.00"
    assert answer.headers["Location"] == f"/orders/{order_id}"
    assert [line["unitPrice"] for line in answer.body["lines"]] == ["5480.00", "950.00"]
    assert (draft.status, draft.account_id, draft.source) == ("Draft", account, "salesforce")
    assert draft.version == answer.body["statusVersion"]
    assert (change.kind, change.origin, change.covers) == ("snapshot", "live", "all")
    assert change.fields["AccountId"] == account


async def test_the_price_is_the_shadows(world: World) -> None:
    account = world.account("Home 1G")
    await world.change("PricebookEntry", world.entry("SIM-DATA-5GB")["Id"], UnitPrice="777")
    async with world.gateway() as gateway:
        answer = await place(gateway, account, "key-price", {"lines": [{"sku": "SIM-DATA-5GB"}], "currency": "JPY"})

    assert answer.body["totalAmount"] == "777.00"


async def test_the_same_request_again_gets_the_same_order(world: World, kafka_bootstrap: str) -> None:
    account = world.account("Home 10G")
    async with world.gateway() as one, world.gateway() as other:
        first = await place(one, account, "key-again")
        again = await place(other, account, "key-again")
        await world.redis.flushall()
        forgotten = await place(one, account, "key-again")
        count = len([o for o in in_org(world, account) if o["Id"] == first.body["orderId"]])

    assert [first.status, again.status, forgotten.status] == [201, 201, 201]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == forgotten.headers["Idempotent-Replayed"] == "true"
    assert again.body == first.body
    assert {**forgotten.body, "updatedAt": ""} == {**first.body, "updatedAt": ""}
    assert count == 1
    said = await statuses_of(kafka_bootstrap, first.body["orderId"])
    assert len({each.version for each in said}) == 1


async def test_ten_requests_at_once_make_one_order(world: World) -> None:
    account = world.account("Apartment 1G")
    before = len(in_org(world, account))
    async with world.gateway() as one, world.gateway() as other:
        answers = await asyncio.gather(
            *(place(gateway, account, "key-at-once") for gateway in (one, other) for _ in range(5))
        )

    assert {answer.status for answer in answers} == {201}
    assert len({answer.body["orderId"] for answer in answers}) == 1
    assert len(in_org(world, account)) == before + 1


async def test_another_request_under_a_used_key_is_refused(world: World) -> None:
    account = world.account("Home 1G")
    other = {"lines": [{"sku": "SIM-DATA-5GB"}], "currency": "JPY"}
    async with world.gateway() as gateway:
        await place(gateway, account, "key-used")
        remembered = await place(gateway, account, "key-used", other)
        await world.redis.flushall()
        asked = await place(gateway, account, "key-used", other)
        of_another = await place(gateway, world.account("Pending"), "key-used", other)

    assert [remembered.status, asked.status, of_another.status] == [422, 422, 201]
    assert remembered.body["type"] == asked.body["type"] == "urn:umbra:problem:key-reused"


async def test_an_order_placed_while_its_product_was_sold_is_found_again_afterwards(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway() as gateway:
        first = await place(gateway, account, "key-retired")
        await world.redis.flushall()
        await world.change("Product2", world.product("INT-HOME-GOLD-1G")["Id"], IsActive=False)
        again = await place(gateway, account, "key-retired")
        new = await place(gateway, account, "key-retired-new")

    assert (again.status, again.body["orderId"]) == (201, first.body["orderId"])
    assert (new.status, new.body["skus"]) == (422, ["INT-HOME-GOLD-1G"])


async def test_an_order_that_cannot_be_asked_after_is_not_said_to_be_none(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway() as gateway:
        await place(gateway, account, "key-unasked")
        await world.redis.flushall()
        await world.change("Product2", world.product("INT-HOME-GOLD-1G")["Id"], IsActive=False)
        world.switch("off")
        answer = await place(gateway, account, "key-unasked")
        world.switch("on")

    assert (answer.status, answer.body["type"]) == (503, "urn:umbra:problem:unknown-outcome")


async def test_an_order_answered_again_is_as_of_its_first_answer(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway() as gateway:
        first = await place(gateway, account, "key-as-of")
        again = await place(gateway, account, "key-as-of")

    assert again.headers["Umbra-As-Of"] == first.headers["Umbra-As-Of"]


async def test_nothing_is_pretended_while_salesforce_is_off(world: World) -> None:
    account = world.account("Home 1G")
    before = len(in_org(world, account))
    async with world.gateway() as gateway:
        world.switch("off")
        away = await place(gateway, account, "key-away")
        world.switch("on")
        assert len(in_org(world, account)) == before

        async def placed() -> bool:
            return (await place(gateway, account, "key-away")).status == 201

        await eventually(placed, within=30)

    assert away.status == 503
    # A write that Salesforce answered with 503 may have been carried out: it is not said that it was not.
    assert away.body["type"] == "urn:umbra:problem:unknown-outcome"
    assert int(away.headers["Retry-After"]) >= 1
    assert len(in_org(world, account)) == before + 1


async def test_who_may_not_order_does_not(world: World) -> None:
    account = world.account("Home 1G")
    key = {"Idempotency-Key": "key-who"}
    cookie = {"Cookie": "__Host-umbra=" + token(account)["Authorization"].removeprefix("Bearer ")}
    async with world.gateway() as gateway:
        host = gateway.base.removeprefix("http://")
        answers = [
            await gateway.post("/orders", BODY, key),
            await gateway.post("/orders", BODY, token(account, "fulfilment") | key),
            await gateway.post("/orders", BODY, token(None) | key),
            await gateway.post("/orders", BODY, token(account)),
            await gateway.post("/orders", BODY, cookie | key),
            await gateway.post("/orders", BODY, cookie | key | {"Origin": "https://elsewhere.example"}),
            await gateway.post(
                "/orders", BODY, cookie | key | {"Origin": f"http://{host}", "Sec-Fetch-Site": "cross-site"}
            ),
            await gateway.post(
                "/orders", BODY, cookie | key | {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
            ),
        ]

    assert [answer.status for answer in answers] == [401, 403, 403, 400, 403, 403, 403, 201]


async def test_what_cannot_be_ordered_is_refused_with_its_reason(world: World) -> None:
    account = world.account("Home 1G")
    bodies: list[tuple[object, int]] = [
        ({"lines": [], "currency": "JPY"}, 400),
        ({"lines": [{"sku": "SIM-DATA-5GB", "quantity": 0}], "currency": "JPY"}, 400),
        ({"lines": [{"sku": "SIM-DATA-5GB", "unitPrice": 1}], "currency": "JPY"}, 400),
        ({"lines": [{"sku": "SIM-DATA-5GB"}] * 21, "currency": "JPY"}, 400),
        ({"lines": [{"sku": "SIM-DATA-5GB"}], "currency": "jpy"}, 400),
        ({"lines": [{"sku": "SIM-DATA-5GB"}], "currency": "JPY\n"}, 400),
        ({"lines": [{"sku": "SIM-\x00DATA-5GB"}], "currency": "JPY"}, 400),
        ({"lines": [{"sku": "SIM-DATA-5GB"}], "currency": "JPY", "accountId": account}, 400),
        ({"lines": [{"sku": "NO-SUCH"}], "currency": "JPY"}, 422),
        ({"lines": [{"sku": "SIM-DATA-5GB"}], "currency": "EUR"}, 422),
        ({"lines": [{"sku": "INT-HOME-BRONZE-100M"}], "currency": "JPY"}, 422),
    ]
    before = len(in_org(world, account))
    async with world.gateway() as gateway:
        for body, status in bodies:
            assert (await place(gateway, account, "key-wrong", body)).status == status, body
        url, headers = gateway.base + "/orders", token(account) | {"Idempotency-Key": "k"}
        form = await gateway.session.post(url, data={"a": "b"}, headers=headers)
        latin = await gateway.session.post(
            url,
            data=b'{"lines":[{"sku":"\xe9"}],"currency":"JPY"}',
            headers=headers | {"Content-Type": "application/json"},
        )

    assert (form.status, latin.status) == (415, 400)
    assert len(in_org(world, account)) == before


async def test_a_write_token_makes_the_next_read_hold_the_write(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway(UMBRA_WAIT_SECONDS="10") as gateway:
        before = await gateway.get("/orders", token(account))
        placed = await place(gateway, account, "key-wait")
        after = token(account) | {"Umbra-Wait-For": placed.headers["Umbra-Wait-For"]}
        reads = [
            asyncio.create_task(gateway.get(path, after)) for path in ("/orders", f"/orders/{placed.body['orderId']}")
        ]
        record = next(each for each in in_org(world, account) if each["Id"] == placed.body["orderId"])
        await world.change("Order", record["Id"], "create", **{n: record.get(n) for n in ORDER_FIELDS})
        listed, one = await asyncio.gather(*reads)

    assert placed.body["orderId"] not in {order["orderId"] for order in before.body["orders"]}
    assert placed.body["orderId"] in {order["orderId"] for order in listed.body["orders"]}
    assert (one.status, one.source, listed.source) == (200, "shadow", "shadow")


ORDER_FIELDS = ("AccountId", "OrderNumber", "Status", "EffectiveDate", "CurrencyIsoCode")


async def test_a_write_that_does_not_reach_the_row_in_time_is_read_live(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway(UMBRA_WAIT_SECONDS="0.2") as gateway:
        placed = await place(gateway, account, "key-wait-live")
        after = token(account) | {"Umbra-Wait-For": placed.headers["Umbra-Wait-For"]}
        answer = await gateway.get(f"/orders/{placed.body['orderId']}", after)

    assert (answer.status, answer.source) == (200, "live")
    assert answer.body["orderNumber"] == placed.body["orderNumber"]


async def test_a_new_order_is_its_owners_alone_before_any_row_shows_it(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway() as gateway:
        placed = await place(gateway, account, "key-owner")
        foreign = await gateway.get(
            f"/orders/{placed.body['orderId']}", token(world.account("Pending")) | {"Umbra-Max-Staleness": "0"}
        )

    assert foreign.status == 404


async def test_an_order_whose_caller_goes_away_is_told_all_the_same(world: World, kafka_bootstrap: str) -> None:
    account = world.account("Home 1G")
    before = {order["Id"] for order in in_org(world, account)}
    async with world.gateway() as gateway:
        impatient = asyncio.create_task(place(gateway, account, "key-impatient"))
        await eventually(lambda: {order["Id"] for order in in_org(world, account)} - before or impatient.done())
        impatient.cancel()
        [order_id] = {order["Id"] for order in in_org(world, account)} - before

        async def told() -> bool:
            return bool(await statuses_of(kafka_bootstrap, order_id))

        await eventually(told, within=10)
