"""One kept answer: its bytes as they are sent, and what says how old they are. Pure."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from schemas import versions
from schemas.events import stamp


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An answer as memory, Valkey and the ladder hold it.

    body: JSON, empty where the key does not exist
    etag: of the body, without quotes
    as_of_ms: the org's time at which this was certainly so; 0 where nothing says
    read_ms: when it was read, by this machine
    about: what the route has to know of it without decoding: an order's owner, an account's eligibility
    trace: topic:partition:offset of the newest record that its row may hold, where it is of one row
    covered: False for a list, or an absence, of an object that no full read has covered yet: it proves nothing
    joined: False for a live answer that could not be compared with the stored state; such a one is never kept
    """

    body: bytes
    etag: str
    as_of_ms: int
    as_of: str
    read_ms: int
    about: str | None = None
    trace: str | None = None
    covered: bool = True
    joined: bool = True

    @property
    def found(self) -> bool:
        return bool(self.body)

    @property
    def says_something(self) -> bool:
        """Whether it may be served when nothing better can be had."""
        return self.covered or (self.found and self.as_of_ms > 0)


def entry(
    body: bytes,
    *,
    as_of_ms: int,
    read_ms: int,
    about: str | None = None,
    trace: str | None = None,
    covered: bool = True,
    joined: bool = True,
) -> Entry:
    etag = blake2b(body, digest_size=12).hexdigest()
    as_of = stamp(versions.moment(as_of_ms))
    return Entry(body, etag, as_of_ms, as_of, read_ms, about, trace, covered, joined)


ABSENT = b""
encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode
