"""Replay ids as they are on the wire: opaque to clients; only the org reads them back.

Since 2022 an 8-byte big-endian number and two zero bytes; or, to find who reads more into them, random bytes.
"""

from hashlib import blake2b

_TAIL = b"\x00\x00"
_OPAQUE = 17  # bytes; the first names the form
_ROUNDS = 4


def encode(number: int) -> bytes:
    return number.to_bytes(8, "big") + _TAIL


def decode(replay_id: bytes) -> int | None:
    """The number, or None for bytes this org never gave out.

    Clients that keep only the number send 8 bytes back, and real orgs take them.
    """
    if len(replay_id) not in (8, 10) or replay_id[8:] not in (b"", _TAIL):
        return None
    return int.from_bytes(replay_id[:8], "big")


def following(number: int) -> int:
    """The next number of a topic.  Numbers grow and leave holes, as real ones do."""
    return number + 1 + number % 3


class ReplayIds:
    """One org's replay ids, in either form; both are read back at any time."""

    def __init__(self, org_id: str) -> None:
        self._key = org_id.encode()
        self.opaque = False

    def encode(self, number: int) -> bytes:
        return self._shuffled(number) if self.opaque else encode(number)

    def decode(self, replay_id: bytes) -> int | None:
        """The number, or None for bytes this org never gave out."""
        if len(replay_id) != _OPAQUE:
            return decode(replay_id)
        left, right = replay_id[1:9], replay_id[9:]
        for step in reversed(range(_ROUNDS)):
            left, right = _xor(right, self._mix(step, left)), left
        return None if any(left) else int.from_bytes(right, "big")

    def _shuffled(self, number: int) -> bytes:
        """A permutation by the org's key: nothing of the order of numbers is left."""
        left, right = bytes(8), number.to_bytes(8, "big")
        for step in range(_ROUNDS):
            left, right = right, _xor(left, self._mix(step, right))
        return b"\x80" + left + right

    def _mix(self, step: int, half: bytes) -> bytes:
        return blake2b(half, digest_size=8, key=self._key, salt=bytes([step])).digest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
