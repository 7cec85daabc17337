"""The identity provider over HTTP, with a stand-in for the simulator's list of accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sandbox.identity import keys
from sandbox.identity.accounts import Accounts
from sandbox.identity.app import COOKIE, Provider
from sandbox.identity.tokens import Issuer

SAKURA = {"account_id": "001000000000001AAA", "name": "Sakura Trading", "internet_eligibility": "Eligible"}

Client = TestClient[web.Request, web.Application]


async def _seeded(_: web.Request) -> web.Response:
    return web.json_response({"accounts": [SAKURA]})


@pytest.fixture
async def org() -> AsyncIterator[TestServer]:
    app = web.Application()
    app.add_routes([web.get("/demo/accounts", _seeded)])
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def client(org: TestServer, tmp_path: Path) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        issuer = Issuer(keys.load_or_make(tmp_path), "issuer", "audience")
        provider = Provider(issuer, Accounts(session, str(org.make_url("/"))), lambda: datetime.now(UTC))
        # The cookie is Secure: the client is told to keep it over plain HTTP as a browser does for this machine.
        async with TestClient(TestServer(provider.application()), cookie_jar=aiohttp.DummyCookieJar()) as made:
            yield made


async def test_accounts_are_those_of_the_org(client: Client) -> None:
    answer = await client.get("/identity/accounts")

    assert await answer.json() == {
        "accounts": [{"accountId": SAKURA["account_id"], "name": "Sakura Trading", "internetEligibility": "Eligible"}]
    }


async def test_login_sets_a_cookie_that_only_this_host_gets_and_no_script_reads(client: Client) -> None:
    answer = await client.post("/identity/login", json={"accountId": SAKURA["account_id"]})

    assert await answer.json() == {"accountId": SAKURA["account_id"], "name": "Sakura Trading"}
    cookie = SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]
    assert (cookie["path"], cookie["secure"], cookie["httponly"], cookie["samesite"]) == ("/", True, True, "Strict")
    assert cookie["domain"] == ""


async def test_me_knows_who_signed_in(client: Client) -> None:
    login = await client.post("/identity/login", json={"accountId": SAKURA["account_id"]})
    cookie = SimpleCookie(login.headers["Set-Cookie"])[COOKIE].value

    answer = await client.get("/identity/me", headers={"Cookie": f"{COOKIE}={cookie}"})

    assert await answer.json() == {"accountId": SAKURA["account_id"], "name": "Sakura Trading"}


async def test_me_without_a_cookie_is_401(client: Client) -> None:
    answer = await client.get("/identity/me")

    assert answer.status == 401
    assert answer.content_type == "application/problem+json"


async def test_logout_takes_the_cookie_back(client: Client) -> None:
    answer = await client.post("/identity/logout")

    cookie = SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]
    assert (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"accountId": "001000000000009AAA"}, 404),
        ({"accountId": 7}, 400),
        ({}, 400),
        ({"service": "root"}, 404),
        (["accountId"], 400),
    ],
)
async def test_token_for_nobody_is_refused(client: Client, body: object, status: int) -> None:
    answer = await client.post("/identity/token", json=body)

    assert answer.status == status


async def test_login_takes_no_form(client: Client) -> None:
    answer = await client.post("/identity/login", data={"accountId": SAKURA["account_id"]})

    assert answer.status == 415


async def test_org_away_is_503_with_a_reason(client: Client, org: TestServer) -> None:
    await org.close()

    answer = await client.get("/identity/accounts")

    assert answer.status == 503
    assert "simulator" in (await answer.json())["detail"]
