"""The wire: frames that every SSE client reads alike. LF only, one line of JSON, no BOM, no comments.

A block ends with an empty line or does not exist: a client drops a cut one together with its id.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

Resume = Literal["exact", "snapshot", "gap", "later"]
"""How a stream goes on: nothing missed; from the current state; something may be missing; not here, come again."""

HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
LAST_CHUNK: Final = b"0\r\n\r\n"
_ENCODE = msgspec.json.Encoder().encode


def frame(event: str, data: bytes, *, cursor: str | None = None, retry_ms: int | None = None) -> bytes:
    """One block. `data` is JSON on one line; ValueError for what would break out of its line.

    retry_ms: above 0; a browser that is told 0 comes back every 2 ms.
    """
    if b"\n" in data or b"\r" in data or "\n" in event:
        raise ValueError("a frame's fields are single lines")
    if retry_ms is not None and retry_ms <= 0:
        raise ValueError(f"retry {retry_ms} is not above 0")
    head = b"" if retry_ms is None else b"retry: %d\n" % retry_ms
    held = b"" if cursor is None else b"id: %s\n" % cursor.encode("ascii")
    return b"%sevent: %s\n%sdata: %s\n\n" % (head, event.encode("ascii"), held, data)


def encode(fields: dict[str, Any]) -> bytes:
    """A frame's data. msgspec escapes line ends, so it is one line."""
    return _ENCODE(fields)


def update(data: bytes, cursor: str | None, skipped: int = 0) -> bytes:
    """An `order.update`; `skipped` counts the states that a slow reader was spared."""
    return frame("order.update", _with_skipped(data, skipped) if skipped else data, cursor=cursor)


def _with_skipped(data: bytes, skipped: int) -> bytes:
    return b'%s,"skipped":%d}' % (data[:-1], skipped)


def later(reason: str, retry_ms: int) -> bytes:
    """Told with a status of 200: on any other, a browser never comes back."""
    return frame("stream", encode({"resume": "later", "reason": reason}), retry_ms=retry_ms)


def chunk(block: bytes) -> bytes:
    """A block in HTTP/1.1 chunked coding."""
    return b"%x\r\n%s\r\n" % (len(block), block)
