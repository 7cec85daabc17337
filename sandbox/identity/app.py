"""The identity provider's routes, all under /identity: accounts, login, logout, me, token, and the JWKS."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from sandbox.identity.accounts import Account, Accounts, OrgAway
from sandbox.identity.tokens import LIFETIME, SERVICE_SCOPES, Issuer

COOKIE = "__Host-umbra"


@dataclass(frozen=True, slots=True)
class Provider:
    issuer: Issuer
    accounts: Accounts
    now: Callable[[], datetime]

    async def list_accounts(self, _: web.Request) -> web.Response:
        found = [account.shown() for account in await self.accounts.all()]
        return web.json_response({"accounts": found})

    async def login(self, request: web.Request) -> web.Response:
        account = await self._account(await _body(request))
        response = web.json_response({"accountId": account.account_id, "name": account.name})
        _set_cookie(response, self.issuer.for_account(account.account_id, self.now()))
        return response

    async def logout(self, _: web.Request) -> web.Response:
        response = web.Response(status=204)
        response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
        return response

    async def me(self, request: web.Request) -> web.Response:
        account_id = self.issuer.account_of(_presented(request))
        account = await self.accounts.get(account_id) if account_id else None
        if account is None:
            raise _problem(web.HTTPUnauthorized, "nobody is signed in")
        return web.json_response({"accountId": account.account_id, "name": account.name})

    async def token(self, request: web.Request) -> web.Response:
        body = await _body(request)
        if "service" not in body:
            account = await self._account(body)
            return web.json_response({"token": self.issuer.for_account(account.account_id, self.now())})
        if body["service"] not in SERVICE_SCOPES:
            raise _problem(web.HTTPNotFound, f"services are: {', '.join(SERVICE_SCOPES)}")
        return web.json_response({"token": self.issuer.for_service(body["service"], self.now())})

    async def jwks(self, _: web.Request) -> web.Response:
        return web.json_response(self.issuer.key.jwks(), headers={"Cache-Control": "max-age=60"})

    async def _account(self, body: dict[str, Any]) -> Account:
        wanted = body.get("accountId")
        if not isinstance(wanted, str):
            raise _problem(web.HTTPBadRequest, 'the body has no "accountId"')
        account = await self.accounts.get(wanted)
        if account is None:
            raise _problem(web.HTTPNotFound, "no such account")
        return account

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_org_away])
        app.add_routes(
            [
                web.get("/identity/accounts", self.list_accounts),
                web.post("/identity/login", self.login),
                web.post("/identity/logout", self.logout),
                web.get("/identity/me", self.me),
                web.post("/identity/token", self.token),
                web.get("/identity/.well-known/jwks.json", self.jwks),
            ]
        )
        return app


def _set_cookie(response: web.Response, token: str) -> None:
    response.set_cookie(
        COOKIE,
        token,
        path="/",
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        secure=True,
        samesite="Strict",
    )


def _presented(request: web.Request) -> str:
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return bearer or request.cookies.get(COOKIE, "")


async def _body(request: web.Request) -> dict[str, Any]:
    # Only JSON: a form on a foreign page cannot send it without asking first.
    if request.content_type != "application/json":
        raise _problem(web.HTTPUnsupportedMediaType, "the body must be application/json")
    try:
        body = await request.json()
    except json.JSONDecodeError as error:
        raise _problem(web.HTTPBadRequest, "the body is no JSON") from error
    if not isinstance(body, dict):
        raise _problem(web.HTTPBadRequest, "the body is no JSON object")
    return body


def _problem(kind: type[web.HTTPException], detail: str) -> web.HTTPException:
    text = json.dumps({"title": kind().reason, "status": kind.status_code, "detail": detail})
    return kind(text=text, content_type="application/problem+json")


@web.middleware
async def _org_away(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except OrgAway as error:
        raise _problem(web.HTTPServiceUnavailable, str(error)) from error
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response
