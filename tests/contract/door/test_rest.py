"""REST through the door, against the simulator: what is read, when it began, what is refused and how."""

from __future__ import annotations

import re
import secrets
import time
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from schemas import mapping
from schemas.events import RecordChange
from services.salesforce import canonical, changes, door, soql
from services.salesforce.calls import CallClass, within
from services.salesforce.door import Door
from services.salesforce.errors import BadRequest, Duplicate, NotFound
from services.salesforce.rest import SubRequest
from tests.support.salesforce_sim import Simulator, door_settings

PRODUCT = mapping.load().objects["Product2"]
LIVE = CallClass.INTERACTIVE


def _order(sim: Simulator, **more: Any) -> dict[str, Any]:
    order: dict[str, Any] = sim.query(
        "SELECT AccountId, Pricebook2Id, EffectiveDate, CurrencyIsoCode FROM Order LIMIT 1"
    )[0]
    order.pop("attributes")
    return {**order, "Status": "Draft", **more}


@pytest.mark.parametrize(("tls", "by_key"), [(False, False), (False, True), (True, False), (True, True)])
async def test_every_way_in_leads_to_the_same_org(
    salesforce_sim: Simulator, valkey: Redis, registry: CollectorRegistry, tls: bool, by_key: bool
) -> None:
    settings = door_settings(salesforce_sim, tls=tls, by_key=by_key)

    async with door.opened(settings, valkey, registry) as made:
        token = await made.login.token(within(10))
        read = await made.rest.query("SELECT Id FROM Product2 LIMIT 1", call_class=LIVE, deadline=within(10))

    assert token.organization_id == salesforce_sim.org_id
    assert len(read.records) == 1


async def test_query_brings_every_page_with_the_start_of_the_first(opened: Door, salesforce_sim: Simulator) -> None:
    expected = {row["Id"] for row in salesforce_sim.do("GET", "/records/PricebookEntry")["records"]}
    before = time.time() * 1000

    pages = [
        page
        async for page in opened.rest.pages(
            "SELECT Id FROM PricebookEntry", call_class=CallClass.BACKFILL, deadline=within(30), include_deleted=True
        )
    ]

    assert {record["Id"] for page in pages for record in page.records} == expected
    assert {page.total for page in pages} == {len(expected)}
    assert len({page.r0_ms for page in pages}) == 1
    assert before - 3_000 <= pages[0].r0_ms <= before + 50


async def test_two_reads_never_share_a_start(opened: Door) -> None:
    starts = [
        (await opened.rest.query("SELECT Id FROM Account LIMIT 1", call_class=LIVE, deadline=within(10))).r0_ms
        for _ in range(15)
    ]

    assert len(set(starts)) == len(starts)


async def test_count_agrees_with_the_records(opened: Door) -> None:
    counted = await opened.rest.count("SELECT COUNT() FROM Account", call_class=LIVE, deadline=within(10))
    read = await opened.rest.query("SELECT Id FROM Account", call_class=LIVE, deadline=within(10))

    assert counted.total == read.total == len(read.records)


async def test_retrieve_tells_found_from_missing(opened: Door) -> None:
    some = await opened.rest.query("SELECT Id FROM Product2 LIMIT 3", call_class=LIVE, deadline=within(10))
    ids = [record["Id"] for record in some.records]
    absent = "01t00000000zzzzAAA"

    found = await opened.rest.retrieve(
        "Product2", [*ids, absent], PRODUCT.select, call_class=CallClass.REPAIR, deadline=within(10)
    )

    assert set(found.records) == set(ids)
    assert found.missing == [absent]


async def test_a_read_becomes_a_snapshot_that_covers_all(opened: Door) -> None:
    read = await opened.rest.query(soql.select(PRODUCT.select, "Product2"), call_class=LIVE, deadline=within(10))

    change = changes.snapshot(PRODUCT, canonical.from_rest(PRODUCT, read.records[0]), r0_ms=read.r0_ms, origin="live")

    assert isinstance(change, RecordChange)
    assert change.covers == "all"
    assert change.record_id == read.records[0]["Id"]
    assert change.fields.keys() == {*PRODUCT.fields, "IsDeleted"}


async def test_describe_and_limits_answer(opened: Door) -> None:
    described = await opened.rest.describe("Product2", call_class=LIVE, deadline=within(10))
    limits = await opened.rest.limits(call_class=LIVE, deadline=within(10))

    assert "StockKeepingUnit" in {field["name"] for field in described["fields"]}
    assert limits["DailyApiRequests"]["Max"] > 0


async def test_created_and_updated_record_is_read_back(opened: Door, salesforce_sim: Simulator) -> None:
    key = secrets.token_hex(16)
    written = await opened.rest.create(
        "Order",
        _order(salesforce_sim, Umbra_Idempotency_Key__c=key),
        call_class=CallClass.WRITE,
        deadline=within(10),
    )

    await opened.rest.update(
        "Order", written.record_id, {"Umbra_Request_Hash__c": "h2"}, call_class=CallClass.WRITE, deadline=within(10)
    )

    stored = salesforce_sim.do("GET", f"/records/Order/{written.record_id}")
    assert stored["Umbra_Idempotency_Key__c"] == key
    assert stored["Umbra_Request_Hash__c"] == "h2"


async def test_second_insert_with_a_unique_value_names_the_first(opened: Door, salesforce_sim: Simulator) -> None:
    order = _order(salesforce_sim, Umbra_Idempotency_Key__c=secrets.token_hex(16))
    first = await opened.rest.create("Order", order, call_class=CallClass.WRITE, deadline=within(10))

    with pytest.raises(Duplicate) as caught:
        await opened.rest.create("Order", order, call_class=CallClass.WRITE, deadline=within(10))

    assert caught.value.field == "Umbra_Idempotency_Key__c"
    assert caught.value.existing == first.record_id


async def test_composite_writes_all_parts_or_none(opened: Door, salesforce_sim: Simulator) -> None:
    key = secrets.token_hex(16)
    entry = salesforce_sim.query(
        "SELECT Id, Pricebook2Id, CurrencyIsoCode FROM PricebookEntry"
        " WHERE IsActive = true AND CurrencyIsoCode = 'JPY' LIMIT 1"
    )[0]
    order = _order(
        salesforce_sim,
        Umbra_Idempotency_Key__c=key,
        Pricebook2Id=entry["Pricebook2Id"],
        CurrencyIsoCode=entry["CurrencyIsoCode"],
    )
    item = {"OrderId": "@{order.id}", "PricebookEntryId": entry["Id"], "Quantity": 1, "UnitPrice": Decimal("4980.50")}

    def parts(line: dict[str, Any]) -> list[SubRequest]:
        return [
            SubRequest(method="POST", path="sobjects/Order", reference="order", body=order),
            SubRequest(method="POST", path="sobjects/OrderItem", reference="line", body=line),
        ]

    with pytest.raises(BadRequest):
        await opened.rest.composite(
            parts({**item, "PricebookEntryId": None}), call_class=CallClass.WRITE, deadline=within(10)
        )
    assert salesforce_sim.query(soql.select(["Id"], "Order", f"Umbra_Idempotency_Key__c = {soql.literal(key)}")) == []

    done = await opened.rest.composite(parts(item), call_class=CallClass.WRITE, deadline=within(10))

    line = salesforce_sim.do("GET", f"/records/OrderItem/{done.results['line'].body['id']}")
    assert line["OrderId"] == done.results["order"].body["id"]
    assert line["UnitPrice"] == 4980.5

    with pytest.raises(Duplicate) as caught:
        await opened.rest.composite(parts(item), call_class=CallClass.WRITE, deadline=within(10))
    assert caught.value.existing == done.results["order"].body["id"]


async def test_errors_are_typed(opened: Door) -> None:
    with pytest.raises(BadRequest) as caught:
        await opened.rest.query("SELECT Nothing__c FROM Product2", call_class=LIVE, deadline=within(10))
    assert caught.value.codes == ("INVALID_FIELD",)
    with pytest.raises(NotFound):
        await opened.rest.update(
            "Order", "80100000000zzzzAAA", {"Status": "Draft"}, call_class=CallClass.WRITE, deadline=within(10)
        )


async def test_metrics_hold_routes_and_no_ids(opened: Door, registry: CollectorRegistry) -> None:
    await opened.rest.query("SELECT Id FROM Product2 LIMIT 1", call_class=LIVE, deadline=within(10))

    labels = {"route": "query", "call_class": "interactive", "outcome": "ok"}
    assert registry.get_sample_value("salesforce_requests_total", labels) == 1
    assert (registry.get_sample_value("salesforce_daily_api_usage") or 0) > 0
    values = {str(v) for metric in registry.collect() for s in metric.samples for v in s.labels.values()}
    assert not [value for value in values if re.fullmatch(r"\w{15,18}", value) and any(c.isdigit() for c in value)]
