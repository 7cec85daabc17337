"""Write tokens: what a caller hands back to see its own write. Signed, so that nobody can make us wait for anything."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

import msgspec

from schemas import ids
from schemas.versions import Version
from services.gateway.freshness import Receipt
from services.gateway.postgres import Database

_PURPOSE = b"umbra-write-v1|"
"""The keys sign cursors too; no token of one kind passes as the other."""
_MAC_BYTES = 12
_VERSIONS = msgspec.json.Decoder(dict[str, Version])


class Tokens:
    """keys: the first signs, all are accepted"""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def sign(self, receipt: Receipt) -> str:
        said = f"{receipt.object}|{receipt.record_id}|{receipt.r0_ms // 1000}".encode()
        return base64.urlsafe_b64encode(said + _mac(self._keys[0], said)).rstrip(b"=").decode()

    def open(self, token: str) -> Receipt | None:
        """None for a token that is not ours."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        said, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, said)) for key in self._keys):
            return None
        name, record_id, second = said.decode().split("|")
        return Receipt(name, ids.parse(record_id), int(second) * 1000)


def _mac(key: bytes, said: bytes) -> bytes:
    return hmac.new(key, _PURPOSE + said, hashlib.sha256).digest()[:_MAC_BYTES]


async def newest(database: Database, receipt: Receipt) -> Version | None:
    """The newest version that the written record's state holds. Raises PostgresAway."""
    rows = await database.rows("written", receipt.object, receipt.record_id)
    if not rows:
        return None
    versions = [Version(rows[0]["base"] or ""), *_VERSIONS.decode(rows[0]["newer"]).values()]
    return max(versions) or None
