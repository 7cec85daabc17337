"""The front of the gRPC ports: passes HTTP/2 through, and breaks a stream or its connection where told to.

gRPC for Python cannot reset a stream or drop one connection; here the frames themselves are at hand.  A stream is known
by a marker: the bytes of an answer that its server writes and no client ever gets.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sandbox.salesforce.faults.pubsub import Cut

_CHUNK = 1 << 16
_HEADER = 9
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _RST_STREAM, _WINDOW_UPDATE = 0x0, 0x3, 0x8
_CANCEL = 8
_MARKER_FRAME = 256  # bytes; a frame no larger than this holds the marker's answer and nothing else


@dataclass(slots=True)
class Frames:
    """Bytes of one direction, given back in whole frames."""

    skip: int = 0  # the client's preface comes before its first frame
    _rest: bytearray = field(default_factory=bytearray)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._rest += chunk
        if self.skip:
            if len(self._rest) < self.skip:
                return
            yield self._take(self.skip)
            self.skip = 0
        while len(self._rest) >= _HEADER:
            end = _HEADER + int.from_bytes(self._rest[:3], "big")
            if len(self._rest) < end:
                return
            yield self._take(end)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._rest[:size])
        del self._rest[:size]
        return taken


def frame(kind: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, 0)) + struct.pack(">I", stream) + payload


class Gate:
    """Listens where clients connect, in front of one gRPC server on this machine."""

    def __init__(self) -> None:
        self._cuts: dict[bytes, Cut] = {}
        self.upstream_port = 0

    def cut(self, marker: bytes, cut: Cut) -> None:
        """Break the stream in which this marker is about to be sent."""
        self._cuts[marker] = cut

    @asynccontextmanager
    async def listening(self, host: str, port: int, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """The port it got.  Raises OSError for one in use."""
        server = await asyncio.start_server(self._accept, host, port, ssl=context)
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self._cuts, reader, writer, *upstream)
        try:
            await connection.run()
        except asyncio.CancelledError:
            pass  # the process is stopping, and asyncio reports a cancelled connection as an error
        finally:
            writer.transport.abort()
            upstream[1].transport.abort()


@dataclass(slots=True)
class _Connection:
    cuts: dict[bytes, Cut]
    client: asyncio.StreamReader
    to_client: asyncio.StreamWriter
    server: asyncio.StreamReader
    to_server: asyncio.StreamWriter
    dead: bool = False

    async def run(self) -> None:
        """Until either side ends."""
        pumps = {
            asyncio.create_task(self._up(), name="grpc-gate-up"),
            asyncio.create_task(self._down(), name="grpc-gate-down"),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)

    async def _up(self) -> None:
        frames = Frames(skip=len(_PREFACE))
        while chunk := await _read(self.client):
            if self.dead:
                continue  # read on, to learn when the client gives up
            for whole in frames.feed(chunk):
                self.to_server.write(whole)
            await _drain(self.to_server)

    async def _down(self) -> None:
        frames = Frames()
        while chunk := await _read(self.server):
            if self.dead:
                continue
            for whole in frames.feed(chunk):
                if self.cuts and whole[3] == _DATA and (marker := self._marker(whole)) is not None:
                    await self._break(self.cuts.pop(marker), whole)
                else:
                    self.to_client.write(whole)
            await _drain(self.to_client)

    def _marker(self, whole: bytes) -> bytes | None:
        return next((marker for marker in self.cuts if marker in whole), None)

    async def _break(self, cut: Cut, whole: bytes) -> None:
        """The marker's own frame goes nowhere; one that holds other answers too goes on to the client."""
        stream = struct.unpack(">I", whole[5:_HEADER])[0]
        if len(whole) > _MARKER_FRAME:
            self.to_client.write(whole)
        else:
            self.to_server.write(frame(_WINDOW_UPDATE, 0, struct.pack(">I", len(whole) - _HEADER)))
        if cut.how == "black_hole":
            self.dead = True
        elif cut.how == "connection":
            await _drain(self.to_client)
            _reset(self.to_client)
        else:
            self.to_client.write(frame(_RST_STREAM, stream, struct.pack(">I", cut.http2_code)))
            self.to_server.write(frame(_RST_STREAM, stream, struct.pack(">I", _CANCEL)))


async def _read(reader: asyncio.StreamReader) -> bytes:
    """The next bytes; none at the end, however it came."""
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""


async def _drain(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.drain()
    except OSError:
        writer.transport.abort()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by RST rather than by FIN."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
