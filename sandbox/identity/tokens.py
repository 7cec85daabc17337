"""What a token of the sandbox says: whose it is, what it may do, until when. Times are arguments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from sandbox.identity.keys import SigningKey

LIFETIME = timedelta(hours=8)
"""A day's session in the demo: nobody has to sign in again while trying things."""

CUSTOMER_SCOPE = "orders:write"
SERVICE_SCOPES = {"fulfilment": "fulfilment", "ops": "ops"}


@dataclass(frozen=True, slots=True)
class Issuer:
    key: SigningKey
    issuer: str
    audience: str

    def for_account(self, account_id: str, now: datetime) -> str:
        return self._sign({"sub": account_id, "account_id": account_id, "scope": CUSTOMER_SCOPE}, now)

    def for_service(self, service: str, now: datetime) -> str:
        """KeyError for a service that does not exist."""
        return self._sign({"sub": service, "scope": SERVICE_SCOPES[service]}, now)

    def account_of(self, token: str) -> str | None:
        """The account that the token was issued to, or None when it is not one of ours, or has run out."""
        try:
            claims = jwt.decode(
                token,
                self.key.private.public_key(),
                algorithms=["RS256"],
                audience=self.audience,
                issuer=self.issuer,
                options={"require": ["exp", "sub"]},
            )
        except jwt.InvalidTokenError:
            return None
        return claims.get("account_id")

    def _sign(self, claims: dict[str, str], now: datetime) -> str:
        times = {"iat": now, "exp": now + LIFETIME}
        named = {"iss": self.issuer, "aud": self.audience}
        return jwt.encode({**claims, **named, **times}, self.key.private, "RS256", {"kid": self.key.kid})
