"""Sends one result page in pieces: no page is ever whole in memory, compressed or not."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate

from aiohttp import web

from sandbox.salesforce.faults.rest import BrokenOff
from sandbox.salesforce.rest.answers import INSTANCE
from sandbox.salesforce.rest.faulty import BROKEN_OFF, reset, unbuffered
from sandbox.salesforce.results import Results

_GZIP = 31  # window bits that write a gzip header


async def send_page(
    request: web.Request, results: Results, span: tuple[int, int], headers: Mapping[str, str], *, packed: bool
) -> web.StreamResponse:
    """The answer, already sent.  `span` is where the page's rows are."""
    instance, broken = request.app[INSTANCE], request.get(BROKEN_OFF)
    begin, size = span
    part = size if broken is None else int(size * broken.keep)
    promised = part if broken is None or broken.how == "short" else size
    response = web.StreamResponse(
        headers={
            "Date": formatdate(instance.org.clock.now_s(), usegmt=True),
            "Content-Type": "text/csv; charset=utf-8",
            "Sforce-Limit-Info": instance.usage.limit_info(),
            **headers,
        }
    )
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    else:
        response.content_length = len(results.header) + promised
    await response.prepare(request)
    if broken is not None:
        unbuffered(request)
    pieces = results.chunks(begin, part)
    async for piece in _packed(pieces, broken) if packed else pieces:
        await response.write(piece)
    if broken is not None and broken.how == "cut":
        reset(request)
    else:
        await response.write_eof()
    return response


async def _packed(chunks: AsyncIterator[bytes], broken: BrokenOff | None) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=_GZIP)
    async for chunk in chunks:
        if piece := await asyncio.to_thread(packer.compress, chunk):
            yield piece
    cut = broken is not None and broken.how == "cut"
    yield packer.flush(zlib.Z_SYNC_FLUSH if cut else zlib.Z_FINISH)
