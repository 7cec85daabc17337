"""A stream that goes silent is torn down: Salesforce sometimes stops sending without ending the stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Silent(Exception):
    """Neither an event nor a keepalive came in time."""


async def heard(receive: Coroutine[Any, Any, T], *, warn: float, tear: float, name: str) -> T:
    """What `receive` returns; after `warn` seconds of silence a warning, after `tear` seconds Silent.

    Salesforce promises a keepalive within 270 s, sends one each 60 to 120 s, and what did not come in 120 s mostly
    never does.
    """
    waiting = asyncio.ensure_future(receive)
    try:
        await asyncio.wait({waiting}, timeout=warn)
        if not waiting.done():
            log.warning("stream is silent", extra={"action": "stream_silent", "topic": name, "seconds": warn})
            await asyncio.wait({waiting}, timeout=tear - warn)
        if not waiting.done():
            raise Silent(f"nothing came for {tear:.0f} s")
        return waiting.result()
    finally:
        waiting.cancel()
