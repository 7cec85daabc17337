"""REST behaviour that the packaged client does not show: login, composite, collections, errors, limits."""

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from simple_salesforce.format import format_soql

from tests.contract.salesforce_sim.simulator import Simulator, running

_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def _token(sim: Simulator, **more: Any) -> requests.Response:
    return requests.post(f"{sim.http}/services/oauth2/token", timeout=10, **more)


def _assertion(sim: Simulator, **claims: object) -> dict[str, str]:
    good: dict[str, object] = {
        "iss": sim.client_id,
        "sub": sim.username,
        "aud": "https://login.salesforce.com",
        "exp": str(int(time.time()) + 180),
    }
    key = Path(sim.private_key_file).read_bytes()
    return {"grant_type": _JWT, "assertion": jwt.encode(good | claims, key, algorithm="RS256")}


def _new_order(**fields: object) -> dict[str, object]:
    return {"Status": "Draft", "EffectiveDate": "2026-02-03", **fields}


def _part(sim: Simulator, reference: str, body: object, path: str = "/sobjects/Order") -> dict[str, object]:
    return {
        "method": "POST",
        "url": f"/services/data/v{sim.api_version}{path}",
        "referenceId": reference,
        "body": body,
    }


def test_a_signed_assertion_with_a_textual_expiry_logs_in(sim: Simulator) -> None:
    answer = _token(sim, data=_assertion(sim)).json()
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    user = requests.get(f"{sim.http}/services/oauth2/userinfo", headers=headers, timeout=10).json()

    assert answer["id"].split("/")[-2] == user["organization_id"] == sim.org_id
    assert answer["instance_url"] == sim.http


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"iss": "someone"}, "invalid_client_id"),
        ({"sub": "nobody@example.com"}, "invalid_grant"),
        ({"aud": "https://example.com"}, "invalid_grant"),
        ({"exp": "1"}, "invalid_grant"),
    ],
)
def test_a_wrong_claim_is_refused(sim: Simulator, claims: dict[str, object], error: str) -> None:
    answer = _token(sim, data=_assertion(sim, **claims))

    assert answer.status_code == 400
    assert answer.json()["error"] == error


def test_an_assertion_signed_by_another_key_is_refused(sim: Simulator) -> None:
    form = _assertion(sim)
    head, body, _ = form["assertion"].split(".")

    assert _token(sim, data=form | {"assertion": f"{head}.{body}.AAAA"}).status_code == 400


def test_client_credentials_come_as_basic_or_form(sim: Simulator) -> None:
    grant = {"grant_type": "client_credentials"}
    form = {**grant, "client_id": sim.client_id, "client_secret": sim.client_secret}

    assert _token(sim, data=grant, auth=(sim.client_id, sim.client_secret)).status_code == 200
    assert _token(sim, data=form).status_code == 200
    assert _token(sim, data=form | {"client_secret": "wrong"}).status_code == 400


def test_without_a_session_every_call_is_a_401_with_a_list(sim: Simulator) -> None:
    answer = requests.get(f"{sim.data}/limits", headers={"Authorization": "Bearer 00D!x"}, timeout=10)

    assert answer.status_code == 401
    assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_a_failed_part_undoes_the_whole_composite(sim: Simulator) -> None:
    key = {"Umbra_Idempotency_Key__c": "all-or-none"}
    parts = [_part(sim, "one", _new_order(**key)), _part(sim, "two", {"OrderId": "@{one.id}"}, "/sobjects/OrderItem")]
    answer = sim.call("POST", "/composite", json={"allOrNone": True, "compositeRequest": parts}).json()

    first, second = answer["compositeResponse"]
    assert (first["httpStatusCode"], first["body"][0]["errorCode"]) == (400, "PROCESSING_HALTED")
    assert second["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert sim.query("SELECT Id FROM Order WHERE Umbra_Idempotency_Key__c = 'all-or-none'") == []


def test_a_duplicate_key_in_a_composite_names_the_holder(sim: Simulator) -> None:
    order = _new_order(Umbra_Idempotency_Key__c="taken")
    held = sim.call("POST", "/sobjects/Order", json=order).json()["id"]
    parts = [_part(sim, "again", order)]
    answer = sim.call("POST", "/composite", json={"allOrNone": True, "compositeRequest": parts}).json()

    error = answer["compositeResponse"][0]["body"][0]
    assert error["errorCode"] == "DUPLICATE_VALUE"
    assert held[:15] in error["message"]


def test_parts_of_a_loose_composite_stand_alone(sim: Simulator) -> None:
    parts = [_part(sim, "bad", {}), _part(sim, "good", _new_order())]
    answer = sim.call("POST", "/composite", json={"allOrNone": False, "compositeRequest": parts}).json()

    assert [part["httpStatusCode"] for part in answer["compositeResponse"]] == [400, 201]


@pytest.mark.parametrize(("all_or_none", "kept"), [(True, 0), (False, 1)])
def test_a_collection_keeps_all_or_the_good_ones(sim: Simulator, all_or_none: bool, kept: int) -> None:
    name = f"Sample Collection {all_or_none}"
    records = [{"attributes": {"type": "Account"}, "Name": name}, {"attributes": {"type": "Account"}, "Name": ""}]
    results = sim.call("POST", "/composite/sobjects", json={"allOrNone": all_or_none, "records": records}).json()

    assert [r["success"] for r in results] == [not all_or_none, False]
    assert len(sim.query(format_soql("SELECT Id FROM Account WHERE Name = {}", name))) == kept


def test_many_records_are_read_by_id_in_the_order_asked(sim: Simulator) -> None:
    ids = [r["Id"] for r in sim.query("SELECT Id FROM Product2 ORDER BY Name DESC LIMIT 3")]
    body = {"ids": [*ids, "01tIU00000000zzYAA"[:15]], "fields": ["Id", "Name"]}
    found = sim.call("POST", "/composite/sobjects/Product2", json=body).json()

    assert [r and r["Id"] for r in found] == [*ids, None]


def test_lines_roll_up_and_must_fit_their_order(sim: Simulator) -> None:
    book = sim.query("SELECT Id FROM Pricebook2 WHERE Name = 'Umbra Portal'")[0]["Id"]
    soql = (
        "SELECT Id, UnitPrice FROM PricebookEntry WHERE Pricebook2Id = {} AND CurrencyIsoCode = {} AND IsActive = true"
    )
    yen, dollar = (sim.query(format_soql(soql, book, currency))[0] for currency in ("JPY", "USD"))
    order = sim.call("POST", "/sobjects/Order", json=_new_order(Pricebook2Id=book)).json()["id"]

    def line(entry: dict[str, Any]) -> requests.Response:
        body = {"OrderId": order, "PricebookEntryId": entry["Id"], "Quantity": 3, "UnitPrice": entry["UnitPrice"]}
        return sim.call("POST", "/sobjects/OrderItem", json=body)

    assert line(yen).status_code == 201
    assert line(dollar).json()[0]["errorCode"] == "FIELD_INTEGRITY_EXCEPTION"
    shown = sim.call("GET", f"/sobjects/Order/{order}").json()
    assert shown["TotalAmount"] == 3 * yen["UnitPrice"]
    assert len(shown["OrderNumber"]) == 8


def test_the_daily_limit_refuses_with_403(tmp_path: Path) -> None:
    with running(tmp_path / "org", "--daily-api-calls", "2") as sim:
        answers = [sim.call("GET", "/limits") for _ in range(3)]

    assert [a.status_code for a in answers] == [200, 200, 403]
    assert answers[1].headers["Sforce-Limit-Info"] == "api-usage=2/2"
    assert answers[2].json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"


def test_switched_off_answers_are_no_json(sim: Simulator) -> None:
    sim.do("POST", "/switch", {"salesforce": "off"})
    try:
        answers = [
            requests.get(sim.http + path, timeout=10) for path in ("/services/data", "/services/oauth2/userinfo")
        ]
    finally:
        sim.do("POST", "/switch", {"salesforce": "on"})

    assert [a.status_code for a in answers] == [503, 503]
    assert answers[0].headers["Content-Type"].startswith("text/html")
    assert requests.get(f"{sim.http}/services/data", timeout=10).ok


def test_broken_queries_are_malformed_or_name_the_field(sim: Simulator) -> None:
    def code(soql: str) -> str:
        return str(sim.call("GET", "/query", params={"q": soql}).json()[0]["errorCode"])

    assert code("SELECT FROM Account") == "MALFORMED_QUERY"
    assert code("SELECT Nope FROM Account") == "INVALID_FIELD"
    assert code("SELECT Id FROM Nope") == "INVALID_TYPE"


def test_a_bulk_job_is_read_only_with_its_own_version(sim: Simulator) -> None:
    job = sim.call("POST", "/jobs/query", json={"operation": "query", "query": "SELECT Id FROM Account"}).json()
    headers = {"Authorization": f"Bearer {sim.token()}"}
    url = f"{sim.http}/services/data/v60.0/jobs/query/{job['id']}/results"

    assert job["state"] == "UploadComplete"
    assert requests.get(url, headers=headers, timeout=10).status_code == 409


def test_bulk_refuses_aggregates(sim: Simulator) -> None:
    body = {"operation": "query", "query": "SELECT COUNT(Id) FROM Account"}

    assert sim.call("POST", "/jobs/query", json=body).status_code == 400


def test_a_platform_event_of_an_undone_composite_is_not_published(sim: Simulator) -> None:
    topic, before = "/event/Order_Status__e", sim.do("GET", "/state")["published_events"]
    parts = [_part(sim, "event", {"Status__c": "Draft"}, "/sobjects/Order_Status__e"), _part(sim, "bad", {})]
    for _ in range(2):
        sim.call("POST", "/composite", json={"allOrNone": True, "compositeRequest": parts})
        parts.pop()

    assert sim.do("GET", "/state")["published_events"][topic] == before[topic] + 1


def test_the_control_endpoint_refuses_other_origins(sim: Simulator) -> None:
    headers = {"Origin": "http://attacker.example"}

    assert requests.post(sim.control + "/switch", data="{}", headers=headers, timeout=10).status_code == 403


def test_the_control_endpoint_refuses_other_names(sim: Simulator) -> None:
    answer = requests.get(sim.control + "/state", headers={"Host": "attacker.example"}, timeout=10)

    assert answer.status_code == 403
