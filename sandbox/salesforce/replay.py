"""Replay ids as they are on the wire since 2022: an 8-byte big-endian number and two zero bytes.

They are opaque to clients; only the org reads them back.
"""

_TAIL = b"\x00\x00"


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
