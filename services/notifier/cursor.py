"""Sealed cursors: where a client stands, in at most 100 characters that only this service can make.

A cursor is bound to its order and account (or to the account alone), to the topic's epoch and to its partition
count. It is good on every instance that holds one of its keys; the first key seals, every key opens.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from schemas.versions import StatusVersion
from services.notifier.content import SIZE as CONTENT_SIZE
from services.notifier.content import Content

LONGEST = 128
_MAC_SIZE = 10
_HOLE, _VERSION, _TERMINAL, _SHOWN = 1, 2, 4, 8
_VERSION_FORM = re.compile(r"[0-9]{40}[01][0-9a-f]{24}")
_VERSION_PARTS = struct.Struct(">6sBQ3s12s")
_ORDER = struct.Struct(f">B4sBBBQ{_VERSION_PARTS.size}s{CONTENT_SIZE}sH")
_ACCOUNT = struct.Struct(">B4sBB")
_PLACE = struct.Struct(">QH")
_NO_VERSION = bytes(_VERSION_PARTS.size)
_NO_CONTENT = bytes(CONTENT_SIZE)


@dataclass(frozen=True, slots=True)
class OrderCursor:
    """How far one order's stream has been read.

    next: every offset below it has been examined, and what it held of the order has been sent
    version, shown, terminal: of the newest state sent; None before the first
    hole: something before `next` may be missing
    fp: of the last record below `next`, to notice another log under the same offsets
    """

    next: int
    version: StatusVersion | None
    shown: Content | None
    terminal: bool
    hole: bool
    fp: int


@dataclass(frozen=True, slots=True)
class Place:
    next: int
    fp: int


@dataclass(frozen=True, slots=True)
class AccountCursor:
    """How far the stream of all of an account's orders has been read, by partition."""

    places: tuple[Place, ...]
    hole: bool


class Sealer:
    """Makes and opens cursors of one epoch of the topic."""

    def __init__(self, secrets: Sequence[str], epoch: str, partitions: int) -> None:
        self._keys = [_Key(secret) for secret in secrets]
        self._epoch = blake2b(epoch.encode(), digest_size=4).digest()
        self._partitions = partitions

    def seal_order(self, order_id: str, account_id: str, partition: int, cursor: OrderCursor) -> str:
        body = _ORDER.pack(
            self._keys[0].id,
            self._epoch,
            self._partitions,
            partition,
            _flags(cursor),
            cursor.next,
            _NO_VERSION if cursor.version is None else pack_version(cursor.version),
            _NO_CONTENT if cursor.shown is None else cursor.shown.pack(),
            cursor.fp,
        )
        return _text(body + self._keys[0].mac(b"order", body, order_id + account_id))

    def open_order(self, text: str, order_id: str, account_id: str, partition: int) -> OrderCursor | None:
        """None for whatever was not sealed here for this order and account, or belongs to another log."""
        body = self._genuine(text, _ORDER.size, b"order", order_id + account_id)
        if body is None:
            return None
        _, epoch, count, where, flags, following, version, shown, fp = _ORDER.unpack(body)
        if (epoch, count, where) != (self._epoch, self._partitions, partition):
            return None
        return OrderCursor(
            next=following,
            version=unpack_version(version) if flags & _VERSION else None,
            shown=Content.unpack(shown) if flags & _SHOWN else None,
            terminal=bool(flags & _TERMINAL),
            hole=bool(flags & _HOLE),
            fp=fp,
        )

    def seal_account(self, account_id: str, cursor: AccountCursor) -> str:
        head = _ACCOUNT.pack(self._keys[0].id, self._epoch, self._partitions, _HOLE if cursor.hole else 0)
        body = head + b"".join(_PLACE.pack(place.next, place.fp) for place in cursor.places)
        return _text(body + self._keys[0].mac(b"account", body, account_id))

    def open_account(self, text: str, account_id: str) -> AccountCursor | None:
        size = _ACCOUNT.size + self._partitions * _PLACE.size
        body = self._genuine(text, size, b"account", account_id)
        if body is None:
            return None
        _, epoch, count, flags = _ACCOUNT.unpack_from(body)
        if (epoch, count) != (self._epoch, self._partitions):
            return None
        places = tuple(Place(*found) for found in _PLACE.iter_unpack(body[_ACCOUNT.size :]))
        return AccountCursor(places, bool(flags & _HOLE))

    def _genuine(self, text: str, size: int, kind: bytes, subject: str) -> bytes | None:
        raw = _bytes(text)
        if raw is None or len(raw) != size + _MAC_SIZE:
            return None
        body, mac = raw[:size], raw[size:]
        keys = (key for key in self._keys if key.id == body[0])
        good = any([hmac.compare_digest(mac, key.mac(kind, body, subject)) for key in keys])
        return body if good else None


class _Key:
    """One secret; its id is one byte of its hash, so that there is nothing more to configure."""

    def __init__(self, secret: str) -> None:
        self._key = blake2b(secret.encode(), digest_size=32, person=b"umbra-cursor").digest()
        self.id = blake2b(self._key, digest_size=1).digest()[0]

    def mac(self, kind: bytes, body: bytes, subject: str) -> bytes:
        return blake2b(body + subject.encode(), key=self._key, digest_size=_MAC_SIZE, person=kind).digest()


def is_version(text: str) -> bool:
    """Whether a cursor can hold this version of a status."""
    return _VERSION_FORM.fullmatch(text) is not None


def pack_version(version: StatusVersion) -> bytes:
    """The 65 characters in 30 bytes."""
    return _VERSION_PARTS.pack(
        int(version[:14]).to_bytes(6, "big"),
        int(version[14]) << 1 | int(version[40]),
        int(version[15:34]),
        int(version[34:40]).to_bytes(3, "big"),
        bytes.fromhex(version[41:]),
    )


def unpack_version(packed: bytes) -> StatusVersion:
    at, ranks, number, sequence, tail = _VERSION_PARTS.unpack(packed)
    millis, order = int.from_bytes(at, "big"), int.from_bytes(sequence, "big")
    return StatusVersion(f"{millis:014d}{ranks >> 1}{number:019d}{order:06d}{ranks & 1}{tail.hex()}")


def _flags(cursor: OrderCursor) -> int:
    return (
        (_HOLE if cursor.hole else 0)
        | (0 if cursor.version is None else _VERSION)
        | (_TERMINAL if cursor.terminal else 0)
        | (0 if cursor.shown is None else _SHOWN)
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes | None:
    if len(text) > LONGEST or not text.isascii():
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
