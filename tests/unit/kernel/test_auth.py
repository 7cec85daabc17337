"""Tokens are believed only under the issuer's keys, and keys are asked for sparingly."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from schemas import ids
from services.kernel import auth
from services.kernel.clock import SetClock
from services.kernel.health import served

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
ACCOUNT = ids.parse("001000000000001")
SECRET = "development-secret-of-32-bytes-or-more"


def _jwk(key: Any, algorithm: str, kid: str) -> dict[str, Any]:
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "use": "sig"}


@dataclass
class Issuer:
    """A real JWKS endpoint whose keys and health a test may change."""

    rsa_key: rsa.RSAPrivateKey
    ec_key: ec.EllipticCurvePrivateKey
    keys: list[dict[str, Any]] = field(default_factory=list)
    fetches: int = 0
    up: bool = True

    def __post_init__(self) -> None:
        self.keys = [_jwk(self.rsa_key, "RS256", "r1"), _jwk(self.ec_key, "ES256", "e1")]

    async def serve(self, _: web.Request) -> web.Response:
        self.fetches += 1
        return web.json_response({"keys": self.keys}) if self.up else web.Response(status=503)

    def token(self, kid: str = "r1", **claims: Any) -> str:
        key, algorithm = (self.ec_key, "ES256") if kid == "e1" else (self.rsa_key, "RS256")
        return jwt.encode(self.claims(**claims), key, algorithm, {"kid": kid})

    def claims(self, **changed: Any) -> dict[str, Any]:
        said = {
            "sub": "person",
            "account_id": ACCOUNT,
            "scope": "orders:write ops",
            "iss": "issuer",
            "aud": "umbra",
            "exp": NOW + timedelta(minutes=5),
        } | changed
        return {name: value for name, value in said.items() if value is not None}


@pytest.fixture(scope="module")
def key_pair() -> tuple[rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey]:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048), ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def issuer(key_pair: tuple[rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey]) -> Issuer:
    return Issuer(*key_pair)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture
async def verifier(issuer: Issuer, clock: SetClock) -> AsyncIterator[auth.Verifier]:
    async with _verifier(issuer, clock) as made:
        yield made


@asynccontextmanager
async def _verifier(issuer: Issuer, clock: SetClock, secret: str | None = None) -> AsyncIterator[auth.Verifier]:
    app = web.Application()
    app.router.add_get("/jwks", issuer.serve)
    async with served(app, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
        settings = auth.AuthSettings(
            jwks_url=f"http://127.0.0.1:{port}/jwks",
            jwt_issuer="issuer",
            jwt_audience="umbra",
            jwt_development_secret=secret,
        )
        yield auth.Verifier(settings, session, clock)


@pytest.mark.parametrize("kid", ["r1", "e1"])
async def test_token_under_a_published_key_gives_its_claims(verifier: auth.Verifier, issuer: Issuer, kid: str) -> None:
    claims = await verifier.verify(issuer.token(kid))

    assert claims.account_id == ACCOUNT
    assert claims.scope == {"orders:write", "ops"}
    assert claims.expires_at == NOW + timedelta(minutes=5)


async def test_service_token_has_no_account(verifier: auth.Verifier, issuer: Issuer) -> None:
    assert (await verifier.verify(issuer.token(account_id=None))).account_id is None


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW},
        {"exp": None},
        {"exp": float("nan")},
        {"exp": 1e300},
        {"iss": "other"},
        {"aud": "other"},
        {"aud": None},
        {"sub": None},
        {"nbf": NOW + timedelta(minutes=1)},
        {"account_id": "001000000000001"},
        {"account_id": ACCOUNT[:-1] + "B"},
        {"account_id": 5},
        {"scope": ["ops"]},
    ],
    ids=str,
)
async def test_token_with_a_wrong_claim_is_refused(
    verifier: auth.Verifier, issuer: Issuer, changed: dict[str, Any]
) -> None:
    with pytest.raises(auth.Unauthenticated):
        await verifier.verify(issuer.token(**changed))


async def test_forged_tokens_are_refused(verifier: auth.Verifier, issuer: Issuer) -> None:
    pem = issuer.rsa_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    embedded = {"kid": "r1", "jku": "http://127.0.0.1:1/", "jwk": _jwk(other, "RS256", "r1")}
    head, body, _ = issuer.token().split(".")
    forged = [
        _hand_signed({"alg": "HS256", "kid": "r1"}, issuer.claims(exp=NOW.timestamp() + 60), pem),
        _hand_signed({"alg": "none", "kid": "r1"}, issuer.claims(exp=NOW.timestamp() + 60), b""),
        jwt.encode(issuer.claims(), other, "RS256", embedded),
        jwt.encode(issuer.claims(), issuer.ec_key, "ES256", {"kid": "r1"}),
        jwt.encode(issuer.claims(), issuer.rsa_key, "RS256"),
        f"{head}.{body}.",
        "no.jwt.here",
        "",
        "x" * 9000,
        "é.é.é",
    ]
    for token in forged:
        with pytest.raises(auth.Unauthenticated):
            await verifier.verify(token)


def _hand_signed(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    signed = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)
    )
    mac = hmac.new(key, signed.encode(), hashlib.sha256).digest() if key else b""
    return signed + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


async def test_shared_secret_counts_only_where_it_is_set(issuer: Issuer, clock: SetClock) -> None:
    token = jwt.encode(issuer.claims(), SECRET, "HS256")

    async with _verifier(issuer, clock) as without:
        with pytest.raises(auth.Unauthenticated):
            await without.verify(token)
    async with _verifier(issuer, clock, SECRET) as with_secret:
        assert (await with_secret.verify(token)).sub == "person"


async def test_unknown_key_asks_the_issuer_once_a_minute(
    verifier: auth.Verifier, issuer: Issuer, clock: SetClock
) -> None:
    await verifier.verify(issuer.token())
    clock.advance(61)
    for number in range(20):
        with pytest.raises(auth.Unauthenticated):
            await verifier.verify(issuer.token(f"made-up-{number}"))
    assert issuer.fetches == 2

    issuer.keys.append(_jwk(issuer.rsa_key, "RS256", "r2"))
    clock.advance(61)
    assert (await verifier.verify(issuer.token("r2"))).sub == "person"
    assert issuer.fetches == 3


async def test_verified_token_needs_no_key_until_it_expires(
    verifier: auth.Verifier, issuer: Issuer, clock: SetClock
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    issuer.up = False

    clock.advance(299)
    assert (await verifier.verify(token)).sub == "person"
    clock.advance(1)
    with pytest.raises(auth.Unauthenticated):
        await verifier.verify(token)


async def test_withdrawn_key_stops_to_count(verifier: auth.Verifier, issuer: Issuer, clock: SetClock) -> None:
    token = issuer.token(exp=NOW + timedelta(hours=1))
    await verifier.verify(token)
    del issuer.keys[0]

    clock.advance(auth.REFRESH_SECONDS + 1)

    with pytest.raises(auth.Unauthenticated):
        await verifier.verify(token)


async def test_issuer_away_is_no_verdict_on_the_token(verifier: auth.Verifier, issuer: Issuer, clock: SetClock) -> None:
    issuer.up = False
    with pytest.raises(auth.KeysAway):
        await verifier.verify(issuer.token())

    issuer.up = True
    clock.advance(auth.RETRY_SECONDS)
    assert (await verifier.verify(issuer.token())).sub == "person"


async def test_known_keys_survive_an_issuer_that_is_away(
    verifier: auth.Verifier, issuer: Issuer, clock: SetClock
) -> None:
    await verifier.verify(issuer.token())
    issuer.up = False

    clock.advance(auth.REFRESH_SECONDS + 1)

    assert (await verifier.verify(issuer.token(exp=NOW + timedelta(hours=1)))).sub == "person"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_weak_and_private_and_symmetric_keys_are_left_out(verifier: auth.Verifier, issuer: Issuer) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - what is refused
    issuer.keys = [
        _jwk(weak, "RS256", "r1"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "r1"},
        {**_jwk(issuer.ec_key, "ES256", "e1"), "use": "enc"},
        {"kty": "RSA", "kid": "broken"},
    ]
    for token in (issuer.token("r1"), issuer.token("e1"), jwt.encode(issuer.claims(), weak, "RS256", {"kid": "r1"})):
        with pytest.raises(auth.Unauthenticated):
            await verifier.verify(token)


def _request(method: str = "POST", **headers: str) -> web.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request(method, "/orders", headers={"Host": "portal.example", **named})


def test_header_wins_over_cookie_and_other_schemes_do_not_count() -> None:
    cookie = f"{auth.COOKIE}=of-cookie"

    assert auth.token_of(_request(Authorization="bearer of-header", Cookie=cookie)) == "of-header"
    assert auth.token_of(_request(Authorization="Basic eA==", Cookie=cookie)) == "of-cookie"
    assert auth.token_of(_request()) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://other.example"},
        {"Origin": "null"},
        {"Origin": "https://["},
        {"Origin": "https://portal.example", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "https://evil.portal.example", "Sec_Fetch_Site": "same-site"},
        {"Authorization": "Basic eA==", "Origin": "https://other.example"},
    ],
    ids=str,
)
def test_changing_call_by_cookie_from_elsewhere_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(auth.ForeignOrigin):
        auth.check_origin(_request(Cookie=f"{auth.COOKIE}=t", **headers))


def test_own_pages_safe_methods_and_bearer_tokens_pass() -> None:
    cookie = f"{auth.COOKIE}=t"

    auth.check_origin(_request(Cookie=cookie, Origin="https://portal.example", Sec_Fetch_Site="same-origin"))
    auth.check_origin(_request(Cookie=cookie, Origin="http://portal.example"))
    auth.check_origin(_request("GET", Cookie=cookie, Origin="https://other.example"))
    auth.check_origin(_request(Authorization="Bearer t", Origin="https://other.example"))
