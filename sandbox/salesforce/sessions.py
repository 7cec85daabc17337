"""Access tokens: signed by the org instead of stored, so a restart logs nobody out."""

import base64
import hashlib
import hmac
import secrets

from sandbox.salesforce.clock import Clock

_NONCE_BYTES = 32


class Sessions:
    """Gives out and checks access tokens of the form `<15-character org id>!<96 characters>`."""

    def __init__(self, org_id: str, key: bytes, clock: Clock, lifetime_s: float) -> None:
        self._prefix = org_id[:15]
        self._key = key
        self._clock = clock
        self._lifetime_ms = lifetime_s * 1000
        self._revoked: set[str] = set()
        self._void_until_ms = 0

    def issue(self) -> tuple[str, int]:
        """A new token and the millisecond it was issued at."""
        now = max(self._clock.now_ms(), self._void_until_ms + 1)
        body = now.to_bytes(8, "big") + secrets.token_bytes(_NONCE_BYTES)
        return f"{self._prefix}!{base64.urlsafe_b64encode(body + self._mac(body)).decode()}", now

    def valid(self, token: str) -> bool:
        """Signed by this org, not expired, not revoked."""
        prefix, _, text = token.partition("!")
        try:
            raw = base64.urlsafe_b64decode(text)
        except ValueError:
            return False
        body, mac = raw[: 8 + _NONCE_BYTES], raw[8 + _NONCE_BYTES :]
        if prefix != self._prefix or token in self._revoked or not hmac.compare_digest(mac, self._mac(body)):
            return False
        issued_ms = int.from_bytes(body[:8], "big")
        return issued_ms > self._void_until_ms and self._clock.now_ms() - issued_ms < self._lifetime_ms

    def revoke(self, token: str) -> None:
        self._revoked.add(token)

    def revoke_all(self) -> None:
        """Every token given out so far is void; the next one is good."""
        self._void_until_ms = self._clock.now_ms()

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, self._prefix.encode() + body, hashlib.sha256)
