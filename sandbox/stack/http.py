"""The least HTTP that a probe needs: one GET, its status and body.

A client session per probe would cost more than the process it watches while ten of them start on two cores.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


async def get(url: str) -> tuple[int, bytes]:
    """Status and body. Raises OSError while nothing answers there."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2:
        raise ConnectionResetError(f"{url} closed without an answer")
    return int(words[1]), body


async def answers_ok(url: str) -> bool:
    return (await get(url))[0] == 200
