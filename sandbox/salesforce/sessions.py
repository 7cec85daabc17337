"""Access tokens: signed by the org instead of stored, so a restart logs nobody out; what was revoked is stored."""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path

import msgspec

from sandbox.salesforce.clock import Clock
from sandbox.salesforce.identity import write_private

_NONCE_BYTES = 32


class Void(msgspec.Struct):
    """What is no longer good: single tokens by when they were revoked, and all from before a moment."""

    tokens: dict[str, int] = {}
    until_ms: int = 0


class Sessions:
    """Gives out and checks access tokens of the form `<15-character org id>!<96 characters>`."""

    def __init__(self, org_id: str, key: bytes, clock: Clock, lifetime_s: float, kept: Path) -> None:
        """`kept`: the file that remembers what was revoked."""
        self._prefix = org_id[:15]
        self._key = key
        self._clock = clock
        self._lifetime_ms = lifetime_s * 1000
        self._kept = kept
        self._void = msgspec.json.decode(kept.read_bytes(), type=Void) if kept.exists() else Void()

    def issue(self) -> tuple[str, int]:
        """A new token and the millisecond it was issued at."""
        now = max(self._clock.now_ms(), self._void.until_ms + 1)
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
        if prefix != self._prefix or token in self._void.tokens or not hmac.compare_digest(mac, self._mac(body)):
            return False
        issued_ms = int.from_bytes(body[:8], "big")
        return issued_ms > self._void.until_ms and self._clock.now_ms() - issued_ms < self._lifetime_ms

    def revoke(self, token: str) -> None:
        if self.valid(token):
            self._void.tokens[token] = self._clock.now_ms()
            self._keep()

    def revoke_all(self) -> None:
        """Every token given out so far is void; the next one is good."""
        self._void.until_ms = self._clock.now_ms()
        self._keep()

    def _keep(self) -> None:
        """Tokens that have run out anyway are forgotten."""
        oldest = self._clock.now_ms() - self._lifetime_ms
        self._void.tokens = {token: at for token, at in self._void.tokens.items() if at >= oldest}
        write_private(self._kept, msgspec.json.encode(self._void))

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, self._prefix.encode() + body, hashlib.sha256)
