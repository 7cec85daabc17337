"""Each fault of HTTP does to a plain client what it says, and the control endpoint checks what is armed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce.format import format_soql

from sandbox.salesforce.faults import rest as kinds
from tests.contract.salesforce_sim.simulator import Simulator, running
from tests.support.faults import Faults

_SOQL = {"q": "SELECT Id FROM Product2 LIMIT 5"}


@pytest.fixture
def faults(sim: Simulator) -> Iterator[Faults]:
    board = Faults(sim.control)
    yield board
    board.clear()


def _query(sim: Simulator, timeout: float = 30) -> requests.Response:
    headers = {"Authorization": f"Bearer {sim.token()}"}
    return requests.get(f"{sim.data}/query", params=_SOQL, headers=headers, timeout=timeout)


@pytest.mark.parametrize(
    ("reason", "status", "code", "words"),
    [
        ("daily_limit", 403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        ("concurrent_limit", 403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests"),
        ("invalid_session", 401, "INVALID_SESSION_ID", "Session expired or invalid"),
        ("unknown_exception", 500, "UNKNOWN_EXCEPTION", ""),
        ("server_unavailable", 503, "SERVER_UNAVAILABLE", ""),
    ],
)
def test_a_refusal_is_an_error_list(
    sim: Simulator, faults: Faults, reason: kinds.Reason, status: int, code: str, words: str
) -> None:
    faults.arm(kinds.Refuse(reason=reason, match="GET /query", count=1))
    refused, answered = _query(sim), _query(sim)

    assert refused.status_code == status
    assert refused.json()[0]["errorCode"] == code
    assert words in refused.json()[0]["message"]
    assert answered.status_code == 200


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (kinds.Page(status=406, body="empty", count=1), ""),
        (kinds.Page(status=420, count=1), "text/html"),
        (kinds.Page(status=429, body="empty", retry_after=3, count=1), ""),
        (kinds.Page(status=503, body="text", count=1), "text/plain"),
        (kinds.Page(status=200, count=1), "text/html"),
    ],
)
def test_an_answer_can_be_no_json(sim: Simulator, faults: Faults, page: kinds.Page, kind: str) -> None:
    faults.arm(page)
    answer = requests.get(f"{sim.data}/query", params=_SOQL, timeout=30)

    assert answer.status_code == page.status
    assert answer.headers.get("Retry-After") == (None if page.retry_after is None else str(page.retry_after))
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()
    assert answer.headers.get("Content-Type", "").startswith(kind)


def test_a_body_can_be_cut_or_short(sim: Simulator, faults: Faults) -> None:
    whole = len(_query(sim).content)
    faults.arm(kinds.BrokenOff(match="GET /query", count=1))
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        _query(sim)
    faults.arm(kinds.BrokenOff(match="GET /query", how="short", keep=0.25, count=1))
    short = _query(sim)

    assert len(short.content) == whole // 4
    with pytest.raises(requests.exceptions.JSONDecodeError):
        short.json()


def test_one_object_s_queries_can_be_slow(sim: Simulator, faults: Faults) -> None:
    faults.arm(kinds.Slow(match="GET /query?*FROM Product2*", seconds=20))
    with pytest.raises(requests.exceptions.ReadTimeout):
        _query(sim, timeout=0.5)

    assert sim.query("SELECT Id FROM Account LIMIT 1")


@pytest.mark.parametrize("fault", [kinds.Hang(when="after", count=1), kinds.Drop(when="after", count=1)])
def test_a_write_can_be_done_and_its_answer_lost(sim: Simulator, faults: Faults, fault: Any) -> None:
    name = f"Sample Lost {type(fault).__name__}"
    headers = {"Authorization": f"Bearer {sim.token()}"}
    faults.arm(fault)
    with pytest.raises((requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError)):
        requests.post(f"{sim.data}/sobjects/Account", json={"Name": name}, headers=headers, timeout=1)
    faults.clear()

    assert len(sim.query(format_soql("SELECT Id FROM Account WHERE Name = {}", name))) == 1


def test_a_hanging_call_ends_when_the_fault_is_taken_off(sim: Simulator, faults: Faults) -> None:
    (armed,) = faults.arm(kinds.Hang(match="GET /query"))
    with pytest.raises(requests.exceptions.ReadTimeout):
        _query(sim, timeout=0.5)
    faults.take_off(armed)

    assert _query(sim).status_code == 200


@pytest.mark.parametrize(
    ("form", "header"),
    [("per_app", "; per-app-api-usage="), ("absent", None), ("garbled", "api-usage=many")],
)
def test_the_usage_header_has_more_than_one_form(sim: Simulator, faults: Faults, form: Any, header: str | None) -> None:
    faults.arm(kinds.LimitInfo(form=form, count=1))
    told = _query(sim).headers.get("Sforce-Limit-Info")

    assert told == header if header is None else header in str(told)


def test_a_login_can_be_refused(sim: Simulator, faults: Faults) -> None:
    faults.arm(kinds.LoginRefuse(error="invalid_grant", description="user is locked", match="client_credentials"))
    form = {"grant_type": "client_credentials", "client_id": sim.client_id, "client_secret": sim.client_secret}
    answer = requests.post(f"{sim.http}/services/oauth2/token", data=form, timeout=30)

    assert answer.status_code == 400
    assert answer.json() == {"error": "invalid_grant", "error_description": "user is locked"}


def test_a_token_can_be_revoked_by_its_own_call(sim: Simulator, faults: Faults) -> None:
    first, second = sim.token(), sim.token()
    faults.arm(kinds.Revoke(match="GET /limits", count=1))

    assert [sim.get_as(token, "/limits").status_code for token in (first, first, second)] == [401, 401, 200]


def test_the_daily_limit_is_counted_and_holds(state_dir: Path) -> None:
    with running(state_dir, "--daily-api-calls", "2") as sim:
        token = sim.token()
        statuses = [sim.get_as(token, "/limits").status_code for _ in range(3)]
        sim.do("POST", "/allowances", {"daily_api_calls": 10})
        after = sim.get_as(token, "/limits")

    assert statuses == [200, 200, 403]
    assert after.headers["Sforce-Limit-Info"] == "api-usage=3/10"


def test_faults_can_be_armed_from_the_start(state_dir: Path) -> None:
    armed = [{"fault": "rest.refuse", "reason": "daily_limit", "match": "GET /limits", "count": 1}]
    file = state_dir.parent / "faults.json"
    file.write_text(json.dumps(armed))
    with running(state_dir, "--faults", str(file)) as sim:
        statuses = [sim.call("GET", "/limits").status_code for _ in range(2)]

    assert statuses == [403, 200]


@pytest.mark.parametrize(
    "body",
    [
        '{"fault": "rest.tired"}',
        '{"fault": "rest.slow", "secnds": 3}',
        '{"fault": "rest.slow", "probability": 0}',
        '{"fault": "pubsub.error", "code": "service.moody"}',
        "[",
    ],
)
def test_what_is_no_fault_is_refused_and_nothing_is_armed(sim: Simulator, faults: Faults, body: str) -> None:
    answer = requests.post(f"{sim.control}/faults", data=body, timeout=30)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "INVALID_INPUT"
    assert faults.all() == []
