"""Reads from the shadow and the caches: what they hold, where they say they came from, how old they say they are."""

from __future__ import annotations

import json

from tests.integration.gateway.world import Client, World, token
from tests.support.eventually import eventually

SKU = "INT-HOME-GOLD-1G"


async def test_a_product_comes_from_the_shadow_then_from_memory_with_its_portal_prices(world: World) -> None:
    async with world.gateway() as gateway:
        first = await gateway.get(f"/catalog/products/{SKU}")
        second = await gateway.get(f"/catalog/products/{SKU}")

    assert (first.status, first.source, second.source) == (200, "shadow", "process")
    assert first.body == second.body
    assert {price["currency"]: price["unitPrice"] for price in first.body["prices"]} == {
        "JPY": "5480.00",
        "USD": "36.53",
    }
    assert first.body["itemClass"] == "Internet"
    assert first.body["extra"]["description"]
    assert int(first.headers["Age"]) < 60
    assert first.headers["Umbra-Trace"].startswith("sf.product2.v1:")


async def test_another_instance_finds_the_answer_in_valkey(world: World) -> None:
    async with world.gateway() as one, world.gateway() as other:
        first = await one.get(f"/catalog/products/{SKU}")
        second = await other.get(f"/catalog/products/{SKU}")

    assert (first.source, second.source) == ("shadow", "valkey")
    assert first.body == second.body
    assert first.headers["Umbra-As-Of"] == second.headers["Umbra-As-Of"]


async def test_no_instance_serves_an_old_price_once_its_tags_are_told(world: World) -> None:
    paths = (f"/catalog/products/{SKU}", "/catalog/products?class=Internet", f"/catalog/prices?sku={SKU}")
    entry = world.entry(SKU)
    async with (
        world.gateway(UMBRA_NEAR_SECONDS="0") as one,
        world.gateway(UMBRA_NEAR_SECONDS="0") as other,
    ):
        for round_ in range(5):
            for gateway in (one, other):
                for path in paths:
                    assert (await gateway.get(path)).status == 200
            await world.change("PricebookEntry", entry["Id"], UnitPrice=str(7000 + round_))
            await world.tell()

            for gateway in (one, other):
                for path in paths:
                    answer = await gateway.get(path)
                    assert f'"unitPrice": "{7000 + round_}.00"' in _text(answer.body)


async def test_told_tags_drop_what_an_instance_has_in_memory(world: World) -> None:
    entry = world.entry(SKU)
    async with world.gateway(UMBRA_NEAR_SECONDS="600") as gateway:
        await eventually(lambda: _is_in_memory(gateway), within=5)

        await world.change("PricebookEntry", entry["Id"], UnitPrice="1234")
        await world.tell()

        async def is_new() -> bool:
            return '"1234.00"' in _text((await gateway.get(f"/catalog/products/{SKU}")).body)

        await eventually(is_new, within=5)


async def _is_in_memory(gateway: Client) -> bool:
    return (await gateway.get(f"/catalog/products/{SKU}")).source == "process"


def _text(body: object) -> str:
    return json.dumps(body)


async def test_a_list_holds_every_product_on_sale_of_its_class_and_no_other(world: World) -> None:
    sold = {p["StockKeepingUnit"] for p in world.records("Product2") if p["IsActive"] and p["Item_Class__c"] == "SIM"}
    async with world.gateway() as gateway:
        of_class = await gateway.get("/catalog/products?class=SIM")
        everything = await gateway.get("/catalog/products")

    assert {product["sku"] for product in of_class.body["products"]} == sold
    assert len(everything.body["products"]) == sum(1 for p in world.records("Product2") if p["IsActive"])


async def test_what_is_retired_is_not_sold(world: World) -> None:
    product, entry = world.product(SKU), world.entry("SIM-DATA-5GB")
    await world.change("Product2", product["Id"], IsActive=False)
    await world.change("PricebookEntry", entry["Id"], IsActive=False)
    async with world.gateway() as gateway:
        gone = await gateway.get(f"/catalog/products/{SKU}")
        unpriced = await gateway.get("/catalog/prices", sku="SIM-DATA-5GB")
        listed = await gateway.get("/catalog/products?class=Internet")

    assert gone.status == 404
    assert [price["currency"] for price in unpriced.body["prices"]] == ["USD"]
    assert SKU not in {each["sku"] for each in listed.body["products"]}


async def test_an_unknown_sku_is_a_404_without_a_call(world: World) -> None:
    async with world.gateway() as gateway:
        before = world.calls()
        answers = [await gateway.get(f"/catalog/products/{sku}") for sku in ("NO-SUCH", "%E2%82%AC%2Fx", "x" * 500)]
        after = world.calls()

    assert [answer.status for answer in answers] == [404, 404, 404]
    assert answers[0].headers["Content-Type"] == "application/problem+json"
    assert answers[0].body["status"] == 404
    assert after == before


async def test_a_product_that_begins_to_exist_is_found_although_its_absence_was_kept(world: World) -> None:
    product = world.product(SKU)
    async with world.gateway(UMBRA_NEAR_SECONDS="0") as gateway:
        assert (await gateway.get("/catalog/products/NEW-SKU")).status == 404

        await world.change("Product2", product["Id"], StockKeepingUnit="NEW-SKU")
        await world.tell()

        assert (await gateway.get("/catalog/products/NEW-SKU")).status == 200
        assert (await gateway.get(f"/catalog/products/{SKU}")).status == 404


async def test_an_answer_at_hand_is_not_sent_again(world: World) -> None:
    async with world.gateway() as gateway:
        first = await gateway.get(f"/catalog/products/{SKU}")
        again = await gateway.get(f"/catalog/products/{SKU}", {"If-None-Match": f'"x", W/{first.headers["ETag"]}'})
        await world.change("PricebookEntry", world.entry(SKU)["Id"], UnitPrice="1")
        await world.tell()

        async def is_new() -> bool:
            seen = await gateway.get(f"/catalog/products/{SKU}", {"If-None-Match": first.headers["ETag"]})
            return seen.status == 200

        await eventually(is_new)

    assert (again.status, again.body) == (304, None)
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Umbra-As-Of"] == first.headers["Umbra-As-Of"]
    assert "stale-while-revalidate" in again.headers["Cache-Control"]


async def test_plans_are_those_that_the_line_admits(world: World) -> None:
    async with world.gateway() as gateway:
        ten = await gateway.get("/catalog/plans/internet", token(world.account("Home 10G")))
        flat = await gateway.get("/catalog/plans/internet", token(world.account("Apartment 1G")))

    assert {plan["offeringType"] for plan in ten.body["plans"]} == {"Home 1G", "Home 10G"}
    assert {plan["offeringType"] for plan in flat.body["plans"]} == {"Apartment 1G"}
    assert ten.body["eligibility"]["internetEligibility"] == "Home 10G"
    assert ten.body["reason"] is None
    assert all(plan["prices"] for plan in ten.body["plans"])
    assert ten.headers["Cache-Control"] == "private, no-cache"
    assert ten.headers["Vary"] == "Authorization, Cookie"


async def test_a_line_that_admits_nothing_says_why(world: World) -> None:
    reasons = {"Not Eligible": "not_eligible", "Pending": "pending", None: "not_checked"}
    async with world.gateway() as gateway:
        for eligibility, reason in reasons.items():
            answer = await gateway.get("/catalog/plans/internet", token(world.account(eligibility)))
            assert (answer.status, answer.body["plans"], answer.body["reason"]) == (200, [], reason)


async def test_a_changed_eligibility_changes_the_plans(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway(UMBRA_NEAR_SECONDS="0") as gateway:
        before = await gateway.get("/catalog/plans/internet", token(account))
        await world.change("Account", account, Internet_Eligibility__c="Not Eligible")
        await world.tell()
        after = await gateway.get("/catalog/plans/internet", token(account))

    assert before.body["plans"]
    assert (after.body["plans"], after.body["reason"]) == ([], "not_eligible")
    assert before.headers["ETag"] != after.headers["ETag"]


async def test_an_account_sees_its_own_eligibility_and_no_other(world: World) -> None:
    own, other = world.account("Home 1G"), world.account("Home 10G")
    async with world.gateway() as gateway:
        mine = await gateway.get(f"/accounts/{own[:15]}/eligibility", token(own))
        foreign = await gateway.get(f"/accounts/{other}/eligibility", token(own))
        unknown = await gateway.get("/accounts/001000000000999/eligibility", token(own))
        wrong = await gateway.get(f"/accounts/{own[:15]}AAB/eligibility", token(own))
        nobody = await gateway.get(f"/accounts/{own}/eligibility")

    assert (mine.status, mine.body["accountId"]) == (200, own)
    assert [foreign.status, unknown.status, wrong.status, nobody.status] == [404, 404, 400, 401]
    assert foreign.body == unknown.body
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_foreign_order_looks_like_one_that_does_not_exist(world: World) -> None:
    order = world.order()
    stranger = world.account("Pending")
    assert order["AccountId"] != stranger
    async with world.gateway() as gateway:
        own = await gateway.get(f"/orders/{order['Id']}", token(order["AccountId"]))
        foreign = await gateway.get(f"/orders/{order['Id']}", token(stranger))
        unknown = await gateway.get("/orders/801000000000999", token(stranger))

    assert own.body["orderNumber"] == order["OrderNumber"]
    assert own.body["totalAmount"] == f"{order['TotalAmount']:.2f}"
    assert (foreign.status, foreign.body) == (unknown.status, unknown.body)
    assert foreign.headers.keys() == unknown.headers.keys()


async def test_an_account_sees_all_its_orders_newest_first(world: World) -> None:
    account = world.order()["AccountId"]
    own = [order for order in world.records("Order") if order["AccountId"] == account]
    async with world.gateway() as gateway:
        answer = await gateway.get("/orders", token(account))

    assert {order["orderId"] for order in answer.body["orders"]} == {order["Id"] for order in own}
    created = [order["createdAt"] for order in answer.body["orders"]]
    assert created == sorted(created, reverse=True)


async def test_whatever_goes_wrong_is_a_problem_document(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway() as gateway:
        problems = [
            await gateway.get("/nothing/here"),
            await gateway.get("/catalog/prices"),
            await gateway.get("/orders", {"Authorization": "Bearer x.y.z"}),
            await gateway.get("/orders", token(None, "fulfilment")),
            await gateway.get("/orders", token(account) | {"Umbra-Max-Staleness": "soon"}),
            await gateway.get("/orders", token(account) | {"Umbra-Wait-For": "made-up"}),
            await gateway.post("/catalog/products", {}),
        ]

    assert [each.status for each in problems] == [404, 400, 401, 403, 400, 400, 405]
    for each in problems:
        assert each.headers["Content-Type"] == "application/problem+json"
        assert each.body["status"] == each.status
        assert each.body["type"].startswith("urn:umbra:problem:")


async def test_the_routes_describe_themselves(world: World) -> None:
    async with world.gateway() as gateway:
        described = await gateway.get("/openapi.json")
        docs = await gateway.get(f"{gateway.admin}/docs")
        queues = await gateway.get(f"{gateway.admin}/health/queues")
        hidden = await gateway.get("/health/queues")

    assert "post" in described.body["paths"]["/orders"]
    assert described.body["components"]["schemas"]["NewOrder"]["properties"]["lines"]["maxItems"] == 20
    assert (docs.status, hidden.status) == (200, 404)
    assert queues.body["projector"]["untold"] == 0
    assert queues.body["salesforce"]["waiting"]["interactive"] == 0


async def test_a_head_request_is_answered_like_a_get_without_its_body(world: World) -> None:
    async with world.gateway() as gateway:
        got = await gateway.get(f"/catalog/products/{SKU}")
        async with gateway.session.head(f"{gateway.base}/catalog/products/{SKU}") as head:
            body = await head.read()

    assert (head.status, body) == (200, b"")
    assert head.headers["ETag"] == got.headers["ETag"]


async def test_a_class_of_any_name_is_kept_apart_from_the_list_of_all(world: World) -> None:
    async with world.gateway() as gateway:
        asked = [await gateway.get(f"/catalog/products?class={name}") for name in ("*", "all", "-")]
        whole = await gateway.get("/catalog/products")

    assert [answer.body["products"] for answer in asked] == [[], [], []]
    assert len(whole.body["products"]) > 10
