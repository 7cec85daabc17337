"""How old an answer may be: the freshness rule, what callers demand, and reads of Salesforce joined with the rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schemas import events, topics, versions
from schemas.events import RecordChange
from tests.integration.gateway.log_reader import read_topic
from tests.integration.gateway.world import World, token
from tests.support.eventually import eventually

SKU = "INT-HOME-GOLD-1G"
NOW = {"Umbra-Max-Staleness": "0"}


async def test_an_eligibility_older_than_the_rule_is_read_live_and_told_to_the_log(
    world: World, kafka_bootstrap: str
) -> None:
    account = world.account("Home 1G")
    await age(world, account)
    async with world.gateway() as gateway:
        answer = await gateway.get(f"/accounts/{account}/eligibility", token(account))

        async def told() -> bool:
            said = [events.decode_change(r.value) for r in await read_topic(kafka_bootstrap, topics.ACCOUNT)]
            return any(
                isinstance(each, RecordChange) and (each.record_id, each.origin) == (account, "live") for each in said
            )

        assert (answer.status, answer.source) == (200, "live")
        assert answer.body["internetEligibility"] == "Home 1G"
        assert int(answer.headers["Age"]) <= 10
        await eventually(told, within=15)


async def age(world: World, account: str, seconds: float = 3_600) -> None:
    """Make an eligibility, and its object's coverage, that old."""
    connection = world.bench.connection
    old = datetime.now(UTC) - timedelta(seconds=seconds)
    await connection.execute(
        "UPDATE sf_account_eligibility_shadow SET updated_at = $2 WHERE account_id = $1", account, old
    )
    await world.observed("Account", seconds)


async def test_an_old_eligibility_is_served_stale_while_salesforce_is_off(world: World) -> None:
    account = world.account("Home 1G")
    await age(world, account)
    world.switch("off")
    async with world.gateway(UMBRA_PRICEBOOK="") as gateway:
        answer = await gateway.get(f"/accounts/{account}/eligibility", token(account))
        world.switch("on")

        async def is_live() -> bool:
            seen = await gateway.get(f"/accounts/{account}/eligibility", token(account))
            return int(seen.headers["Age"]) < 60

        assert (answer.status, answer.source) == (200, "stale")
        assert 3_590 <= int(answer.headers["Age"]) <= 3_700
        await eventually(is_live, within=30)


async def test_the_catalog_is_served_with_its_age_however_long_salesforce_is_off(world: World) -> None:
    await world.observed("Product2", 100_000)
    await world.bench.connection.execute("UPDATE sf_product_shadow SET updated_at = now() - interval '2 days'")
    async with world.gateway() as gateway:
        world.switch("off")
        one = await gateway.get(f"/catalog/products/{SKU}")
        many = await gateway.get("/catalog/products")
        world.switch("on")

    assert (one.status, one.source, many.source) == (200, "stale", "stale")
    assert 99_990 <= int(one.headers["Age"]) <= 100_100
    assert int(many.headers["Age"]) >= 99_990


async def test_a_demand_that_the_shadow_meets_costs_no_call(world: World) -> None:
    async with world.gateway() as gateway:
        before = world.calls()
        answer = await gateway.get(f"/catalog/products/{SKU}", {"Umbra-Max-Staleness": "120"})
        after = world.calls()

    assert (answer.status, answer.source) == (200, "shadow")
    assert after == before


async def test_a_demand_for_now_is_read_live_and_limited_per_caller(world: World) -> None:
    account, other = world.account("Home 1G"), world.account("Pending")
    async with world.gateway() as gateway:
        answers = [await gateway.get("/orders", token(account) | NOW) for _ in range(7)]
        another = await gateway.get("/orders", token(other) | NOW)

    assert [answer.status for answer in answers] == [200] * 6 + [429]
    assert {answer.source for answer in answers[:6]} == {"live"}
    assert int(answers[6].headers["Retry-After"]) >= 1
    assert another.status == 200


async def test_a_demand_that_cannot_be_met_says_what_age_there_is(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway() as gateway:
        world.switch("off")
        answer = await gateway.get("/orders", token(account) | NOW)
        unforced = await gateway.get("/orders", token(account))
        world.switch("on")

    assert (answer.status, answer.body["type"]) == (503, "urn:umbra:problem:too-old")
    assert answer.body["age"] == int(answer.headers["Age"])
    assert "Retry-After" in answer.headers
    assert unforced.status == 200


async def test_a_live_answer_has_the_shape_of_a_stored_one(world: World) -> None:
    account, order = world.account("Home 1G"), world.order()
    paths = (
        f"/catalog/products/{SKU}",
        f"/catalog/prices?sku={SKU}",
        "/catalog/products?class=Internet",
        f"/accounts/{account}/eligibility",
    )
    async with world.gateway() as gateway:
        for path in paths:
            stored = await gateway.get(path, token(account))
            live = await gateway.get(path, token(account) | NOW)
            assert (stored.source, live.source) == ("shadow", "live"), live.body
            assert without_times(live.body) == without_times(stored.body)
        owner = token(order["AccountId"])
        for path in (f"/orders/{order['Id']}", "/orders"):
            stored = await gateway.get(path, owner)
            live = await gateway.get(path, owner | NOW)
            assert (stored.source, live.source) == ("shadow", "live"), live.body
            assert without_times(live.body) == without_times(stored.body)


def without_times(body: object) -> object:
    if isinstance(body, dict):
        return {key: without_times(value) for key, value in body.items() if key != "updatedAt"}
    return [without_times(each) for each in body] if isinstance(body, list) else body


async def test_a_stored_value_of_a_newer_commit_wins_over_a_live_read_that_lags(world: World) -> None:
    entry = world.entry(SKU)
    await world.change("PricebookEntry", entry["Id"], UnitPrice="1111")
    async with world.gateway() as gateway:
        answer = await gateway.get("/catalog/prices", token(world.account("Home 1G")) | NOW, sku=SKU)

    assert answer.source == "live"
    assert {p["unitPrice"] for p in answer.body["prices"] if p["currency"] == "JPY"} == {"1111.00"}


async def test_a_change_that_the_shadow_has_not_seen_is_in_a_live_read(world: World) -> None:
    account = world.account("Home 1G")
    world.sim.price("SIM-DATA-10GB", 2222)
    async with world.gateway() as gateway:
        stored = await gateway.get("/catalog/prices", sku="SIM-DATA-10GB")
        live = await gateway.get("/catalog/prices", token(account) | NOW, sku="SIM-DATA-10GB")
        after = await gateway.get("/catalog/prices", sku="SIM-DATA-10GB")

    assert "2222.00" not in str(stored.body)
    assert "2222.00" in str(live.body)
    assert after.body == live.body


async def test_a_key_absent_from_an_unobserved_object_is_asked_for(world: World) -> None:
    account = world.account("Home 1G")
    await world.bench.connection.execute("DELETE FROM sf_account_eligibility_shadow WHERE account_id = $1", account)
    async with world.gateway(UMBRA_CACHE_SECONDS="0", UMBRA_NEAR_SECONDS="0") as gateway:
        observed = await gateway.get(f"/accounts/{account}/eligibility", token(account))
        await world.observed("Account", 3_600)
        unobserved = await gateway.get(f"/accounts/{account}/eligibility", token(account))

    assert observed.status == 404
    assert (unobserved.status, unobserved.source) == (200, "live")


async def test_a_list_without_a_full_read_goes_live_and_else_shows_what_there_is(world: World) -> None:
    await world.uncovered("Product2")
    async with world.gateway(UMBRA_CACHE_SECONDS="0", UMBRA_NEAR_SECONDS="0") as gateway:
        live = await gateway.get("/catalog/products?class=VPN")
        world.switch("off")
        stored = await gateway.get("/catalog/products?class=SIM")
        empty = await gateway.get("/catalog/products?class=Nothing")
        world.switch("on")

    assert (live.status, live.source) == (200, "live")
    assert stored.status == 200
    assert stored.body["products"]
    assert empty.status == 503


async def test_without_shadow_reads_answers_come_from_salesforce_and_are_kept(world: World) -> None:
    account = world.account("Home 1G")
    async with world.gateway(ENABLE_SF_SHADOW_READS="false", UMBRA_NEAR_SECONDS="0") as gateway:
        first = await gateway.get("/catalog/plans/internet", token(account))
        before = world.calls()
        second = await gateway.get("/catalog/plans/internet", token(account))
        after = world.calls()

    assert (first.status, first.source, second.source) == (200, "live", "valkey")
    assert first.body["plans"] == second.body["plans"] != []
    assert before == after


async def test_coverage_that_moves_on_makes_a_kept_answer_younger(world: World) -> None:
    await world.observed("Product2", 300)
    await world.observed("PricebookEntry", 300)
    async with world.gateway(UMBRA_CACHE_SECONDS="0", UMBRA_NEAR_SECONDS="0") as gateway:
        old = await gateway.get("/catalog/products")
        await world.observed("Product2", 1)
        await world.observed("PricebookEntry", 2)
        young = await gateway.get("/catalog/products")

    assert int(old.headers["Age"]) >= 300
    assert int(young.headers["Age"]) < 60
    assert old.headers["ETag"] == young.headers["ETag"]


async def test_a_live_read_reports_a_status_whose_event_was_lost(world: World, kafka_bootstrap: str) -> None:
    order = world.order("Activated")
    past = versions.read_version(versions.millis(datetime.now(UTC)) - 3_600_000)
    await world.bench.connection.execute(
        "UPDATE sf_record SET base = $2 WHERE object = 'Order' AND record_id = $1", order["Id"], past
    )
    world.sim.do("POST", f"/orders/{order['Id']}/status", {"status": "Completed"})
    async with world.gateway() as gateway:
        answer = await gateway.get(f"/orders/{order['Id']}", token(order["AccountId"]) | NOW)

        async def told() -> bool:
            said = [events.decode_status(r.value) for r in await read_topic(kafka_bootstrap, topics.ORDER_STATUS)]
            mine = [each for each in said if each.order_id == order["Id"]]
            return any((each.kind, each.status, each.terminal) == ("observed", "Completed", True) for each in mine)

        await eventually(told, within=15)

    assert (answer.source, answer.body["status"], answer.body["terminal"]) == ("live", "Completed", True)
