"""What a client has been shown of an order: status and reason, as eight bytes that fit into a cursor.

A status equal in content to the one shown moves cursors and is not shown again: the same status, with the
same reason or none. The reason that is known then stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

SIZE = 8
_HALF = SIZE // 2
_ABSENT = bytes(_HALF)


@dataclass(frozen=True, slots=True)
class Content:
    status: bytes
    reason: bytes

    @classmethod
    def of(cls, status: str, reason: str | None) -> Content:
        return cls(_short(status), _ABSENT if reason is None else _short(reason))

    @classmethod
    def unpack(cls, packed: bytes) -> Content:
        return cls(packed[:_HALF], packed[_HALF:])

    def pack(self) -> bytes:
        return self.status + self.reason

    def repeats(self, shown: Content | None) -> bool:
        """Whether a client that has been shown `shown` learns nothing from this."""
        return shown is not None and self.status == shown.status and self.reason in (_ABSENT, shown.reason)


def _short(text: str) -> bytes:
    """Four bytes: two of an org's few statuses meet with a chance of 1 in 4,000,000,000."""
    return blake2b(text.encode(), digest_size=_HALF).digest()
