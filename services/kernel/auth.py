"""Who is calling: JWTs verified against the issuer's published keys, and the origin of calls made by cookie.

The key decides the algorithm, never the token: RS256 or ES256 by `kid` from the configured JWKS. `jku`, `x5u`
and keys inside a token are ignored. HS256 exists only where a development secret is set. Errors never hold a token.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import jwt
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from schemas import ids
from services.kernel.clock import SYSTEM, Clock
from services.kernel.errors import Retryable, UmbraError
from services.kernel.settings import setting

log = logging.getLogger(__name__)

COOKIE = "__Host-umbra"
REFETCH_SECONDS = 60.0
"""An unknown `kid` asks the issuer at most this often, so that made-up ones cannot be turned against it."""
REFRESH_SECONDS = 600.0
"""Age at which known keys are asked for again, so that a withdrawn key stops to count."""
RETRY_SECONDS = 2.0
"""Pause after a failed fetch."""
CACHED_TOKENS = 20_000
"""Bound of the cache of verified tokens, about 10 MB. Verifying costs 69 µs (RS256) to 136 µs (ES256)."""
LARGEST_TOKEN = 8_192
LARGEST_KEY_SET = 262_144
SMALLEST_RSA_BITS = 2_048
SKEW_SECONDS = 5
"""Tolerated only in `nbf`: an issuer's clock a little ahead of ours. `exp` is never stretched."""
_YEAR_10000 = 253_402_300_800
_TIMEOUT = aiohttp.ClientTimeout(total=3)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Key = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class Unauthenticated(UmbraError):
    """The call carries no token, or one that does not hold: 401."""


class ForeignOrigin(UmbraError):
    """A call that changes something came by cookie from another origin: 403."""


class KeysAway(Retryable):
    """The issuer's keys cannot be had, so the token can be judged neither good nor bad: 503, or come again."""


def _long_enough(secret: str | None) -> str | None:
    return "must have at least 32 bytes" if secret and len(secret.encode()) < 32 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    jwks_url: str = setting(doc="Address of the token issuer's public keys (JWKS).")
    jwt_issuer: str = setting(doc="The `iss` that tokens must carry.")
    jwt_audience: str = setting(doc="The `aud` that tokens must name.")
    jwt_development_secret: str | None = setting(
        default=None,
        doc="Accepts HS256 tokens under this secret; for development only.",
        secret=True,
        check=_long_enough,
    )


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says.

    account_id: 18 characters with a right checksum; None for a service's token
    expires_at: the token is worth nothing from this moment on
    """

    sub: str
    account_id: str | None
    scope: frozenset[str]
    expires_at: datetime


class Verifier:
    """Verifies tokens; keeps the issuer's keys, and verified tokens (by hash) until they expire."""

    def __init__(self, settings: AuthSettings, session: aiohttp.ClientSession, clock: Clock = SYSTEM) -> None:
        self._settings = settings
        self._clock = clock
        self._keys = _KeySet(settings.jwks_url, session, clock)
        self._known: OrderedDict[bytes, tuple[str, Claims]] = OrderedDict()

    async def verify(self, token: str) -> Claims:
        """The token's claims. Raises Unauthenticated, or KeysAway when it cannot be judged."""
        if len(token) > LARGEST_TOKEN:
            raise Unauthenticated("the token is too long")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._known.get(digest)
        if known is not None and self._still_good(*known):
            self._known.move_to_end(digest)
            return known[1]
        kid, claims = await self._judge(token)
        self._remember(digest, kid, claims)
        return claims

    def _still_good(self, kid: str, claims: Claims) -> bool:
        return claims.expires_at > self._clock.now() and (not kid or self._keys.has(kid))

    def _remember(self, digest: bytes, kid: str, claims: Claims) -> None:
        self._known[digest] = (kid, claims)
        if len(self._known) > CACHED_TOKENS:
            self._known.popitem(last=False)

    async def _judge(self, token: str) -> tuple[str, Claims]:
        header = _header(token)
        if header.get("alg") == "HS256":
            secret = self._settings.jwt_development_secret
            if secret is None:
                raise Unauthenticated("the token's algorithm is not accepted")
            return "", self._claims(token, secret, "HS256")
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise Unauthenticated("the token names no key")
        key = await self._keys.get(kid)
        return kid, self._claims(token, key, _algorithm(key))

    def _claims(self, token: str, key: Any, algorithm: str) -> Claims:
        try:
            said = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._settings.jwt_audience,
                issuer=self._settings.jwt_issuer,
                # Times are judged below, by our own clock and without stretching `exp`.
                options={
                    "require": ["exp", "sub", "iss", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(f"the token does not hold: {type(error).__name__}") from error
        return _claims(said, self._clock.now())


def _header(token: str) -> dict[str, Any]:
    try:
        return dict(jwt.get_unverified_header(token))
    except (jwt.InvalidTokenError, UnicodeError) as error:
        raise Unauthenticated("the token is no JWT") from error


def _algorithm(key: Key) -> str:
    return "RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256"


def _claims(said: dict[str, Any], now: datetime) -> Claims:
    expires = _time(said, "exp")
    if expires <= now.timestamp():
        raise Unauthenticated("the token has expired")
    if "nbf" in said and _time(said, "nbf") > now.timestamp() + SKEW_SECONDS:
        raise Unauthenticated("the token is not valid yet")
    scope = said.get("scope", "")
    if not isinstance(scope, str):
        raise Unauthenticated("the token's scope is no text")
    return Claims(
        sub=said["sub"],
        account_id=_account(said.get("account_id")),
        scope=frozenset(scope.split()),
        expires_at=datetime.fromtimestamp(expires, now.tzinfo),
    )


def _time(said: dict[str, Any], name: str) -> float:
    value = said[name]
    # The comparison is false for NaN as well, which JSON parsers let through.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _YEAR_10000:
        raise Unauthenticated(f"the token's {name} is no time")
    return float(value)


def _account(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) != 18:
        raise Unauthenticated("the token's account_id is no 18-character id")
    try:
        return ids.parse(value)
    except ValueError as error:
        raise Unauthenticated("the token's account_id is no 18-character id") from error


class _JsonWebKeys(msgspec.Struct):
    keys: list[dict[str, Any]]


class _KeySet:
    """The issuer's keys by `kid`; one fetch at a time."""

    def __init__(self, url: str, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._url = url
        self._session = session
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._lock = asyncio.Lock()
        self._fetched_at: float | None = None
        self._not_before = float("-inf")
        self._failed = False

    def has(self, kid: str) -> bool:
        """Whether a token under this key still counts without asking anybody."""
        return kid in self._keys and not self._stale()

    async def get(self, kid: str) -> Key:
        """Raises Unauthenticated for a key that the issuer does not have, KeysAway when it cannot be asked."""
        if kid not in self._keys or self._stale():
            async with self._lock:
                if (kid not in self._keys or self._stale()) and self._clock.monotonic() >= self._not_before:
                    await self._fetch()
        key = self._keys.get(kid)
        if key is not None:
            return key
        if self._fetched_at is None or self._failed:
            raise KeysAway("the issuer's keys cannot be fetched")
        raise Unauthenticated("the token's key is unknown")

    def _stale(self) -> bool:
        return self._fetched_at is None or self._clock.monotonic() - self._fetched_at > REFRESH_SECONDS

    async def _fetch(self) -> None:
        """Replace the keys; on failure the known ones stay, since an issuer that is away withdraws nothing."""
        try:
            found = _usable(await self._download())
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError, ValueError) as error:
            log.warning("keys cannot be fetched", extra={"action": "jwks_failed", "why": type(error).__name__})
            self._failed = True
            self._not_before = self._clock.monotonic() + RETRY_SECONDS
            return
        self._keys, self._failed = found, False
        self._fetched_at = self._clock.monotonic()
        self._not_before = self._fetched_at + REFETCH_SECONDS

    async def _download(self) -> bytes:
        async with self._session.get(self._url, timeout=_TIMEOUT, allow_redirects=False) as answer:
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            body = await answer.content.read(LARGEST_KEY_SET + 1)
            while len(body) <= LARGEST_KEY_SET and not answer.content.at_eof():
                body += await answer.content.read(LARGEST_KEY_SET + 1 - len(body))
        if len(body) > LARGEST_KEY_SET:
            raise ValueError("the key set is too large")
        return body


def _usable(body: bytes) -> dict[str, Key]:
    """Signature keys of the two accepted kinds, by kid; others are left out."""
    found: dict[str, Key] = {}
    for entry in msgspec.json.decode(body, type=_JsonWebKeys).keys:
        kid = entry.get("kid")
        key = _public_key(entry)
        if isinstance(kid, str) and key is not None:
            found[kid] = key
    return found


def _public_key(entry: dict[str, Any]) -> Key | None:
    if entry.get("use", "sig") != "sig" or entry.get("kty") not in {"RSA", "EC"} or "d" in entry:
        return None
    try:
        key: object = jwt.PyJWK(entry, "RS256" if entry["kty"] == "RSA" else "ES256").key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(key, rsa.RSAPublicKey):
        return key if key.key_size >= SMALLEST_RSA_BITS and entry.get("alg", "RS256") == "RS256" else None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key if isinstance(key.curve, ec.SECP256R1) and entry.get("alg", "ES256") == "ES256" else None
    return None


@asynccontextmanager
async def verifier(settings: AuthSettings, clock: Clock = SYSTEM) -> AsyncIterator[Verifier]:
    """A verifier with a connection of its own to the issuer."""
    async with aiohttp.ClientSession() as session:
        yield Verifier(settings, session, clock)


_BEARER: Final = "bearer "


def _bearer(request: web.BaseRequest) -> str | None:
    value = request.headers.get("Authorization", "")
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else None


def token_of(request: web.BaseRequest) -> str | None:
    """The token of a call: of its Authorization header, else of its cookie. Never of its address."""
    return _bearer(request) or request.cookies.get(COOKIE) or None


def check_origin(request: web.BaseRequest) -> None:
    """Refuse a changing call that a browser may have made for another page: ForeignOrigin.

    Only calls by cookie can be forged; a bearer token is put there by the page's own code.
    """
    if request.method in _SAFE_METHODS or _bearer(request) or COOKIE not in request.cookies:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is None and origin is None:
        raise ForeignOrigin("a changing call by cookie must say where it comes from")
    if site not in {None, "same-origin"} or (origin is not None and _host(origin) != request.host):
        raise ForeignOrigin("a changing call by cookie must come from this origin")


def _host(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None
