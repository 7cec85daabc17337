"""SOAP login gives a session that REST takes, in the API versions that have it, and says no as SOAP does."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import requests

from tests.contract.salesforce_sim.simulator import Simulator

_RESULT = [
    "metadataServerUrl",
    "passwordExpired",
    "sandbox",
    "serverUrl",
    "sessionId",
    "userId",
    "userInfo",
]


def _post(sim: Simulator, operation: str, version: str = "59.0") -> requests.Response:
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:u="urn:partner.soap.sforce.com">'
        f"<e:Body>{operation}</e:Body></e:Envelope>"
    )
    headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}
    return requests.post(f"{sim.http}/services/Soap/u/{version}", data=body, headers=headers, timeout=30)


def _login(sim: Simulator, password: str, version: str = "59.0") -> requests.Response:
    fields = f"<u:username>{sim.username}</u:username><u:password>{password}</u:password>"
    return _post(sim, f"<u:login>{fields}</u:login>", version)


def _result(answer: requests.Response) -> list[ElementTree.Element]:
    assert answer.status_code == 200, answer.text
    return list(ElementTree.fromstring(answer.content)[0][0][0])  # noqa: S314 - the answer of our own server


@pytest.mark.parametrize("version", ["31.0", "59.0", "64.0"])
def test_a_login_answers_in_the_order_that_clients_count_on(sim: Simulator, version: str) -> None:
    result = _result(_login(sim, sim.password + sim.security_token, version))

    assert [element.tag.rpartition("}")[2] for element in result] == _RESULT
    assert result[6][8].text == sim.org_id
    assert str(result[3].text).startswith(f"{sim.http}/services/Soap/u/{version}/00D")
    assert sim.get_as(str(result[4].text), "/limits").status_code == 200


def test_a_session_ends_with_logout(sim: Simulator) -> None:
    session = str(_result(_login(sim, sim.password))[4].text)
    _post(sim, f"<u:logout/><u:sessionId>{session}</u:sessionId>")

    assert sim.get_as(session, "/limits").status_code == 401


def test_a_wrong_password_is_a_fault(sim: Simulator) -> None:
    answer = _login(sim, "wrong")

    assert answer.status_code == 500
    assert "<faultcode>sf:INVALID_LOGIN</faultcode>" in answer.text


@pytest.mark.parametrize("version", ["30.0", "65.0", "67.0"])
def test_other_versions_have_no_login(sim: Simulator, version: str) -> None:
    answer = _login(sim, sim.password, version)

    assert answer.status_code == 500
    assert "UNSUPPORTED_API_VERSION" in answer.text


@pytest.mark.parametrize("given", ["good", "other"])
def test_a_refresh_token_gives_an_access_token(sim: Simulator, given: str) -> None:
    form = {
        "grant_type": "refresh_token",
        "client_id": sim.client_id,
        "client_secret": sim.client_secret,
        "refresh_token": sim.refresh_token if given == "good" else "stale",
    }
    answer = requests.post(f"{sim.http}/services/oauth2/token", data=form, timeout=30)

    if given == "good":
        assert sim.get_as(answer.json()["access_token"], "/limits").status_code == 200
    else:
        assert answer.json() == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
