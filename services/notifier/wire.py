"""One client's connection: chunks straight to the transport, a small kernel buffer, dead peers found in time.

Writing past aiohttp's own writer keeps the order of frames without a task or a lock per stream, and lets one
encoded event serve many. Its writer still sends the headers and the last chunk.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web
from aiohttp.http import HttpVersion11

from services.notifier import sse

SEND_BUFFER = 16_384
"""SO_SNDBUF: a stalled client pins kilobytes, not the 4 MB that the kernel would grow to."""

_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)


class SocketWire:
    """A `streams.Wire` over an aiohttp request whose response has been prepared."""

    def __init__(self, request: web.Request, heartbeat_seconds: float) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has left")
        self._transport: asyncio.Transport = transport
        self._chunked = request.version >= HttpVersion11
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        _tune(transport, heartbeat_seconds)

    @property
    def blocked(self) -> bool:
        return self._transport.get_write_buffer_size() > 0

    def write(self, block: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(sse.chunk(block) if self._chunked else block)

    def end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    def cut(self) -> None:
        """Drop the connection with whatever waits in its buffers."""
        self._transport.abort()

    async def ended(self) -> str:
        """Why the stream is over; cancelled when the client leaves."""
        return await self._ended


def _tune(transport: asyncio.Transport, heartbeat_seconds: float) -> None:
    """A peer that acknowledges nothing is given up one heartbeat after a heartbeat was written to it."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if _USER_TIMEOUT is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(heartbeat_seconds * 1000))
