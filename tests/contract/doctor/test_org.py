"""Each thing that can be wrong with an org is found in it, and its remedy names what to change."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.doctor.conftest import Doctor
from tests.support.bent_org import BentOrg
from tests.support.salesforce_sim import Simulator

Answer = dict[str, Any]
MAPPING = (Path(__file__).resolve().parents[3] / "schemas" / "mapping.toml").read_text(encoding="utf-8")


async def test_an_org_as_it_should_be_has_nothing_to_change(salesforce: Doctor, sim: Simulator) -> None:
    before = sim.do("GET", "/state")
    report = await salesforce.look("salesforce")
    after = sim.do("GET", "/state")

    assert report.not_ok() == []
    assert report.code == 0
    used = after["daily_api_calls"]["used"] - before["daily_api_calls"]["used"]
    assert used <= report.document["api_calls"] <= 16
    assert (after["delivered_events"], after["streams"]) == ({}, {})


async def test_a_signed_login_is_as_good(salesforce: Doctor, key_login: dict[str, str]) -> None:
    report = await salesforce.look("salesforce")

    assert report.not_ok() == []
    assert "JWT bearer" in report.of("salesforce.login")["detail"]


async def test_a_wrong_secret_is_told_from_a_wrong_key(salesforce: Doctor) -> None:
    finding = (await salesforce.look("salesforce", salesforce_client_secret="0" * 64)).of("salesforce.login")

    assert finding["level"] == "FAIL"
    assert "secret is wrong" in finding["detail"]
    assert "UMBRA_SALESFORCE_CLIENT_SECRET" in finding["remedy"]


async def test_an_unknown_consumer_key_leads_to_the_client_id(salesforce: Doctor, key_login: dict[str, str]) -> None:
    finding = (await salesforce.look("salesforce", salesforce_client_id="3MVG9nobody")).of("salesforce.login")

    assert "UMBRA_SALESFORCE_CLIENT_ID" in finding["remedy"]


async def test_a_user_who_is_not_approved_is_to_be_approved(salesforce: Doctor, key_login: dict[str, str]) -> None:
    finding = (await salesforce.look("salesforce", salesforce_username="nobody@umbra.example")).of("salesforce.login")

    assert "not approved" in finding["detail"]
    assert "pre-authorized" in finding["remedy"]


async def test_another_audience_is_named(salesforce: Doctor, key_login: dict[str, str]) -> None:
    report = await salesforce.look("salesforce", salesforce_jwt_audience="https://example.com")

    assert "UMBRA_SALESFORCE_JWT_AUDIENCE" in report.of("salesforce.login")["remedy"]


@pytest.mark.parametrize(
    ("description", "remedy"),
    [
        ("no client credentials user enabled", "Run As"),
        ("request not supported on this domain", "My Domain"),
        ("client credentials flow not enabled", "Flow Enablement"),
        ("user is locked", "unlock"),
        ("ip restricted", "IP"),
        ("something new", "Login History"),
    ],
)
async def test_refusals_that_the_simulator_never_gives(
    salesforce: Doctor, org: BentOrg, description: str, remedy: str
) -> None:
    org.bends["/oauth2/token"] = lambda _: (400, {"error": "invalid_grant", "error_description": description})

    finding = (await salesforce.look("salesforce")).of("salesforce.login")

    assert description in finding["detail"]
    assert remedy in finding["remedy"]


async def test_a_host_that_is_no_salesforce_is_the_wrong_login_url(salesforce: Doctor, org: BentOrg) -> None:
    org.bends["/oauth2/token"] = lambda _: 404

    finding = (await salesforce.look("salesforce")).of("salesforce.login")

    assert "not Salesforce's token endpoint" in finding["detail"]
    assert "UMBRA_SALESFORCE_LOGIN_URL" in finding["remedy"]


async def test_a_host_that_does_not_answer_is_told_from_one_that_refuses(salesforce: Doctor) -> None:
    finding = (await salesforce.look("salesforce", salesforce_login_url="http://127.0.0.1:1")).of("salesforce.login")

    assert "nothing answers" in finding["detail"]
    assert "curl" in finding["remedy"]


async def test_an_untrusted_certificate_is_told_from_an_absent_host(salesforce: Doctor, sim: Simulator) -> None:
    finding = (await salesforce.look("salesforce", salesforce_login_url=sim.https)).of("salesforce.login")

    assert "not trusted" in finding["detail"]
    assert "UMBRA_SALESFORCE_CA_FILE" in finding["remedy"]


async def test_a_version_that_is_not_offered_names_the_range(salesforce: Doctor) -> None:
    finding = (await salesforce.look("salesforce", salesforce_api_version="99.0")).of("salesforce.version")

    assert finding["level"] == "FAIL"
    assert "31.0 to 67.0" in finding["remedy"]


def _without(name: str) -> Callable[[Answer], Answer]:
    return lambda d: {**d, "fields": [f for f in d["fields"] if f["name"] != name]}


def _with(name: str, **changed: Any) -> Callable[[Answer], Answer]:
    return lambda d: {**d, "fields": [{**f, **changed} if f["name"] == name else f for f in d["fields"]]}


async def test_a_hidden_field_is_told_from_one_that_is_not_there(
    salesforce: Doctor, org: BentOrg, tmp_path: Path
) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(MAPPING.replace("Plan_Tier__c", "Tier__c"))
    org.bends["/Product2/describe"] = _without("VPN_Region__c")

    report = await salesforce.look("salesforce", mapping_file=str(file))

    details = {f["detail"]: f["remedy"] for f in report.findings if f["check"] == "salesforce.mapping.Product2"}
    hidden = next(detail for detail in details if "VPN_Region__c" in detail)
    absent = next(detail for detail in details if "Tier__c" in detail)
    assert "hidden from the integration user" in hidden
    assert "permission set" in details[hidden]
    assert "there is no" in absent
    assert "sf project deploy" in details[absent]
    assert report.code == 1


async def test_another_type_names_the_mapping_that_fits(salesforce: Doctor, org: BentOrg) -> None:
    org.bends["/Account/describe"] = _with("Credit_Status__c", type="boolean")

    finding = (await salesforce.look("salesforce")).of("salesforce.mapping.Account")

    assert 'type = "boolean"' in finding["remedy"]


async def test_an_org_with_one_currency_is_given_a_constant(salesforce: Doctor, org: BentOrg, tmp_path: Path) -> None:
    for name in ("PricebookEntry", "Order"):
        org.bends[f"/{name}/describe"] = _without("CurrencyIsoCode")
    finding = (await salesforce.look("salesforce")).of("salesforce.mapping.PricebookEntry")
    assert 'constants] currency_iso_code = "CODE"' in finding["remedy"]

    field = 'CurrencyIsoCode = { type = "text", column = "currency_iso_code"'
    text = MAPPING.replace(f"{field}, required = true }}\n", "").replace(f"{field} }}\n", "")
    constants = "".join(f'\n[objects.{n}.constants]\ncurrency_iso_code = "JPY"\n' for n in ("PricebookEntry", "Order"))
    file = tmp_path / "mapping.toml"
    file.write_text(text + constants)
    assert (await salesforce.look("salesforce", mapping_file=str(file))).not_ok() == []

    org.bends.clear()
    finding = (await salesforce.look("salesforce", mapping_file=str(file))).of("salesforce.mapping.PricebookEntry")
    assert "several currencies" in finding["detail"]
    assert 'CurrencyIsoCode = { type = "text"' in finding["remedy"]


@pytest.mark.parametrize(
    ("path", "bend", "said", "remedy"),
    [
        ("/Order/describe", lambda d: {**d, "createable": False}, "may not create", "permission set"),
        ("/OrderItem/describe", lambda d: {**d, "createable": False}, "OrderItem", "Order Settings"),
        ("/Order/describe", _with("Umbra_Idempotency_Key__c", unique=False), "order twice", "unique"),
        ("/Order/describe", _with("Umbra_Request_Hash__c", length=32), "shorter", "deploy"),
        ("/Order/describe", _without("Umbra_Idempotency_Key__c"), "Umbra_Idempotency_Key__c", "deploy"),
        ("/Order/describe", _with("Pricebook2Id", createable=False), "Pricebook2Id cannot be written", "Edit"),
        ("/Order/describe", _with("Status", picklistValues=[{"value": "New"}]), "Draft", "Object Manager"),
    ],
)
async def test_what_keeps_orders_out_is_found(
    salesforce: Doctor, org: BentOrg, path: str, bend: Any, said: str, remedy: str
) -> None:
    org.bends[path] = bend

    finding = (await salesforce.look("salesforce")).of("salesforce.orders")

    assert finding["level"] == "FAIL"
    assert said in finding["detail"]
    assert remedy in finding["remedy"]


async def test_a_status_that_an_order_cannot_have_is_a_warning(salesforce: Doctor, org: BentOrg) -> None:
    values = [{"value": value} for value in ("Draft", "Activated")]
    org.bends["/Order/describe"] = _with("Status", picklistValues=values)

    report = await salesforce.look("salesforce")

    assert report.of("salesforce.orders")["level"] == "warn"
    assert "Completed" in report.of("salesforce.orders")["detail"]
    assert report.code == 0


async def test_an_object_that_cannot_be_described_stops_no_other_check(salesforce: Doctor, org: BentOrg) -> None:
    org.bends["/Order/describe"] = lambda _: (404, [{"errorCode": "NOT_FOUND", "message": "not there"}])

    report = await salesforce.look("salesforce")

    assert "Order Settings" in report.of("salesforce.mapping.Order")["remedy"]
    assert report.of("salesforce.mapping.Account")["level"] == "ok"


async def test_an_entity_that_is_not_selected_is_found_though_its_topic_is_there(
    salesforce: Doctor, org: BentOrg
) -> None:
    org.bends["/tooling/query"] = lambda d: {**d, "records": d["records"][1:]}

    finding = (await salesforce.look("salesforce")).of("salesforce.selection")

    assert finding["level"] == "FAIL"
    assert "Change Data Capture" in finding["remedy"]


async def test_set_up_that_may_not_be_viewed_is_a_warning(salesforce: Doctor, org: BentOrg) -> None:
    refusal = (403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "no"}])
    org.bends |= {"/tooling/query": lambda _: refusal, "/limits": lambda _: refusal}

    report = await salesforce.look("salesforce")

    assert [report.of(c)["level"] for c in ("salesforce.selection", "salesforce.allowances")] == ["warn", "warn"]
    assert "View Setup" in report.of("salesforce.allowances")["remedy"]
    assert report.code == 0


async def test_an_event_that_the_org_does_not_have_is_to_be_deployed(salesforce: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text(MAPPING.replace('reason = "Reason__c"', 'reason = "Why__c"'))

    finding = (await salesforce.look("salesforce", mapping_file=str(file))).of("salesforce.events.Order_Status__e")

    assert "Why__c" in finding["detail"]
    assert "deploy" in finding["remedy"]


async def test_pub_sub_that_is_not_reached_is_told_from_missing_topics(salesforce: Doctor) -> None:
    report = await salesforce.look("salesforce", salesforce_pubsub="127.0.0.1:1")

    finding = report.of("salesforce.events.AccountChangeEvent")
    assert finding["level"] == "FAIL"
    assert "UMBRA_SALESFORCE_PUBSUB" in finding["remedy"]


async def test_the_price_book_has_to_be_one_of_the_active_ones(salesforce: Doctor, org: BentOrg) -> None:
    other = (await salesforce.look("salesforce", pricebook="Retail")).of("salesforce.pricebook")
    none = (await salesforce.look("salesforce", pricebook="")).of("salesforce.pricebook")

    assert (other["level"], none["level"]) == ("FAIL", "warn")
    assert "Umbra Portal" in other["detail"]
    assert "UMBRA_PRICEBOOK" in none["remedy"]


def _left(name: str, left: int, most: int) -> Callable[[Answer], Answer]:
    return lambda d: {**d, name: {"Max": most, "Remaining": left}}


@pytest.mark.parametrize(
    ("name", "left", "most", "check", "level"),
    [
        ("DailyApiRequests", 90, 15_000, "api", "FAIL"),
        ("DailyApiRequests", 5_000, 15_000, "api", "warn"),
        ("DailyBulkV2QueryJobs", 3, 10_000, "bulk", "FAIL"),
        ("DailyDeliveredPlatformEvents", 0, 10_000, "events", "FAIL"),
    ],
)
async def test_an_allowance_that_does_not_suffice_is_found(
    salesforce: Doctor, org: BentOrg, name: str, left: int, most: int, check: str, level: str
) -> None:
    org.bends["/limits"] = _left(name, left, most)

    finding = (await salesforce.look("salesforce")).of(f"salesforce.allowances.{check}")

    assert finding["level"] == level
    assert f"{left:,} of {most:,}" in finding["detail"]


async def test_settings_are_judged_before_anything_is_sent(salesforce: Doctor, org: BentOrg) -> None:
    report = await salesforce.look("salesforce", salesforce_login_url="https://login.salesforce.com")

    assert report.code == 2
    assert "My Domain" in report.findings[0]["remedy"]
    assert org.asked == []


async def test_a_mapping_file_that_is_wrong_is_named(salesforce: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "mapping.toml"
    file.write_text("[objects]\n")

    report = await salesforce.look("salesforce", mapping_file=str(file))

    assert report.of("salesforce.mapping")["level"] == "FAIL"
    assert "UMBRA_MAPPING_FILE" in report.of("salesforce.mapping")["remedy"]


async def test_no_secret_is_ever_printed(salesforce: Doctor, sim: Simulator) -> None:
    reports = [await salesforce.look("salesforce"), await salesforce.look("salesforce", salesforce_client_id="x")]

    said = str([report.document for report in reports])
    assert sim.client_secret not in said
    assert os.environ.get("HOME", "/root") not in said
