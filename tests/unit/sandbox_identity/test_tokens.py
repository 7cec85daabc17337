"""Tokens of the sandbox: what they claim, how long they hold, and that the key outlives a restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from sandbox.identity import keys
from sandbox.identity.tokens import LIFETIME, Issuer

NOW = datetime.now(UTC)
ACCOUNT = "001000000000001AAA"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(keys.load_or_make(tmp_path_factory.mktemp("keys")), "https://issuer.example", "portal")


def _claims(issuer: Issuer, token: str) -> dict[str, object]:
    """Verified the way a service does it: by the published key alone."""
    published = jwt.PyJWKSet.from_dict(issuer.key.jwks())
    key = published[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, object] = jwt.decode(
        token, key.key, algorithms=["RS256"], audience="portal", issuer="https://issuer.example"
    )
    return claims


def test_account_token_may_order_for_its_own_account(issuer: Issuer) -> None:
    claims = _claims(issuer, issuer.for_account(ACCOUNT, NOW))

    assert (claims["sub"], claims["account_id"], claims["scope"]) == (ACCOUNT, ACCOUNT, "orders:write")


def test_fulfilment_token_names_no_account(issuer: Issuer) -> None:
    claims = _claims(issuer, issuer.for_service("fulfilment", NOW))

    assert claims["scope"] == "fulfilment"
    assert "account_id" not in claims


def test_token_that_ran_out_signs_nobody_in(issuer: Issuer) -> None:
    old = issuer.for_account(ACCOUNT, NOW - LIFETIME - timedelta(seconds=1))

    assert issuer.account_of(old) is None
    assert issuer.account_of(issuer.for_account(ACCOUNT, NOW)) == ACCOUNT


def test_token_of_another_provider_signs_nobody_in(issuer: Issuer, tmp_path: Path) -> None:
    stranger = Issuer(keys.load_or_make(tmp_path), issuer.issuer, issuer.audience)

    assert issuer.account_of(stranger.for_account(ACCOUNT, NOW)) is None


def test_key_is_the_same_after_a_restart_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    first = keys.load_or_make(tmp_path)

    assert keys.load_or_make(tmp_path).kid == first.kid
    assert (tmp_path / "signing-key.pem").stat().st_mode & 0o077 == 0
