"""Login: one access token for all callers of a process, renewed before it gets old and after a refusal.

Salesforce says nothing of a token's expiry, so age decides, and a 401 where age was wrong.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt
import requests

from services.kernel.clock import SYSTEM, Clock
from services.salesforce.calls import within
from services.salesforce.errors import DeadlinePassed, Refused, SalesforceError, Unavailable
from services.salesforce.settings import SalesforceSettings
from services.salesforce.transport import Transport, Wire

log = logging.getLogger(__name__)

_ATTEMPT_SECONDS = 15.0
"""Longest request for a token: its callers have deadlines of their own and may give up before."""
_REFUSED_PAUSE = 5.0
"""Seconds in which refused credentials are not sent again: Salesforce locks a user out who tries too often."""
_ASSERTION_SECONDS = 180
"""Life of a JWT bearer assertion; Salesforce accepts about 5 minutes."""
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and where it is good.

    instance_url: scheme, host and port, no path; issued_at: epoch seconds by Salesforce's clock
    """

    access_token: str = field(repr=False)
    instance_url: str
    organization_id: str
    issued_at: float


class CountsLogins(Protocol):
    def login(self, outcome: str, seconds: float) -> None: ...


Grant = Callable[[], dict[str, str]]


class Login:
    """Hands out the process's token; at most one request for a new one is under way."""

    def __init__(
        self, settings: SalesforceSettings, transport: Transport, counts: CountsLogins, clock: Clock = SYSTEM
    ) -> None:
        self._url = f"{settings.salesforce_login_url.rstrip('/')}/services/oauth2/token"
        self._grant = grant_of(settings, clock)
        self._longest_age = settings.salesforce_token_seconds
        self._transport = transport
        self._counts = counts
        self._token: Token | None = None
        self._renew_at = 0.0
        self._refusal: Refused | None = None
        self._refused_until = 0.0
        self._fetching: asyncio.Task[Token] | None = None

    async def token(self, deadline: float) -> Token:
        """A token that is good as far as anybody knows.

        Raises Unavailable when Salesforce is away, Refused for bad credentials, DeadlinePassed.
        """
        token = self._token
        if token is None:
            return await self._fetched(deadline)
        if time.monotonic() >= self._renew_at:
            self._start()  # nobody waits: the old one is good for a long while yet
        return token

    async def renewed(self, rejected: Token, deadline: float) -> Token:
        """Another token than `rejected`, which Salesforce has just refused; raises as `token` does."""
        if self._token is not None and self._token.access_token != rejected.access_token:
            return self._token
        self._token = None
        return await self._fetched(deadline)

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})

    async def _fetched(self, deadline: float) -> Token:
        fetching = self._start()
        await asyncio.wait({fetching}, timeout=max(0.0, deadline - time.monotonic()))
        if not fetching.done():
            raise DeadlinePassed("no token before the deadline")
        return fetching.result()

    def _start(self) -> asyncio.Task[Token]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch(), name="salesforce login")
            self._fetching.add_done_callback(_consumed)
        return self._fetching

    async def _fetch(self) -> Token:
        began = time.monotonic()
        if self._refusal is not None and began < self._refused_until:
            raise self._refusal.with_traceback(None)
        self._renew_at = began + _REFUSED_PAUSE
        outcome = "refused"
        try:
            token = await self._request()
            outcome = "ok"
        except Refused as error:
            self._refusal, self._refused_until = error, time.monotonic() + _REFUSED_PAUSE
            raise
        except SalesforceError:
            outcome = "unavailable"
            raise
        finally:
            self._counts.login(outcome, time.monotonic() - began)
        self._token, self._renew_at, self._refusal = token, time.monotonic() + self._longest_age, None
        return token

    async def _request(self) -> Token:
        form = self._grant()

        def post(wire: Wire) -> requests.Response:
            return wire.post(self._url, data=form, headers={"Accept": "application/json"})

        try:
            response = await self._transport.run(within(_ATTEMPT_SECONDS), post)
        except requests.RequestException as error:
            raise Unavailable(f"no login: {type(error).__name__}") from error
        return token_of(response.status_code, _json(response))


def _consumed(task: asyncio.Task[Token]) -> None:
    """A renewal in the background has no caller; the next call learns of its failure by itself."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("login failed", extra={"action": "login_failed", "why": str(error)})


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def token_of(status: int, body: Any) -> Token:
    """The token in an answer of the token endpoint. Raises Refused, or Unavailable where it is no such answer."""
    if not isinstance(body, dict):
        raise Unavailable(f"no login: HTTP {status} without JSON")
    if "error" in body and 400 <= status < 500:
        raise Refused(str(body["error"]), str(body.get("error_description", "")))
    try:
        return Token(
            access_token=str(body["access_token"]),
            instance_url=_origin(str(body["instance_url"])),
            organization_id=str(body["id"]).rstrip("/").split("/")[-2],
            issued_at=int(body["issued_at"]) / 1000,
        )
    except (KeyError, IndexError, ValueError) as error:
        raise Unavailable(f"no login: HTTP {status} without {error}") from error


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def grant_of(settings: SalesforceSettings, clock: Clock) -> Grant:
    """The form that asks for a token: client credentials where there is a secret, else JWT bearer."""
    if settings.salesforce_client_secret:
        return lambda: {
            "grant_type": "client_credentials",
            "client_id": settings.salesforce_client_id,
            "client_secret": settings.salesforce_client_secret,
        }
    file = settings.salesforce_private_key_file
    if file is None:
        raise ValueError("neither a client secret nor a private key")
    key = file.read_text(encoding="utf-8")

    def assertion() -> dict[str, str]:
        claims = {
            "iss": settings.salesforce_client_id,
            "sub": settings.salesforce_username,
            "aud": settings.salesforce_jwt_audience or settings.salesforce_login_url.rstrip("/"),
            "exp": int(clock.now().timestamp()) + _ASSERTION_SECONDS,
        }
        return {"grant_type": _JWT_BEARER, "assertion": jwt.encode(claims, key, algorithm="RS256")}

    return assertion
