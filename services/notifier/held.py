"""A live stream's time at this instance: from its first frame to its end, its token's end at the latest."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from aiohttp import web

from schemas import events
from services.kernel.auth import Claims
from services.notifier import expiry, sse
from services.notifier.callers import Caller
from services.notifier.hub import Hub
from services.notifier.registry import Stream
from services.notifier.wire import SocketWire

_EOF_SECONDS = 2.0


async def opened(request: web.Request, hub: Hub) -> tuple[web.StreamResponse, SocketWire]:
    """Send the headers. After this the client has a 200."""
    response = web.StreamResponse(headers=sse.HEADERS)
    await response.prepare(request)
    return response, SocketWire(request, hub.settings.heartbeat_seconds)


def greeting(hub: Hub, claims: Claims) -> Callable[[sse.Resume], dict[str, Any]]:
    """Makes the data of this client's `event: stream` frames."""

    def greet(resume: sse.Resume) -> dict[str, Any]:
        return {
            "resume": resume,
            "liveAt": events.stamp(hub.clock.now()),
            "instance": hub.settings.process.instance,
            "heartbeatSeconds": hub.settings.heartbeat_seconds,
            "expiresAt": events.stamp(claims.expires_at),
        }

    return greet


async def until_over(hub: Hub, response: web.StreamResponse, stream: Stream, wire: SocketWire, caller: Caller) -> None:
    """Wait for the end of a registered stream. When the client leaves, this is cancelled."""
    gauge = hub.metrics.streams.labels(stream.kind)
    gauge.inc()
    timers = _expire(hub, stream, caller.claims)
    if caller.use is not None:
        hub.ticketed[stream] = caller.use
    reason = "client"
    try:
        reason = await wire.ended()
    finally:
        for timer in timers:
            timer.cancel()
        hub.ticketed.pop(stream, None)
        hub.registry.remove(stream)
        gauge.dec()
        hub.metrics.closes.labels(reason).inc()
    await finish(response, wire, stuck=reason == "stuck")


def _expire(hub: Hub, stream: Stream, claims: Claims) -> list[asyncio.TimerHandle]:
    left = (claims.expires_at - hub.clock.now()).total_seconds()
    when = expiry.plan(left, random.random())
    loop = asyncio.get_running_loop()
    notice = sse.encode({"seconds": round(when.end_in - when.notice_in, 1)})
    return [
        loop.call_later(when.notice_in, stream.tell, "auth.expiring", notice),
        loop.call_later(when.end_in, stream.wire.end, "token"),
    ]


async def finish(response: web.StreamResponse, wire: SocketWire, *, stuck: bool = False) -> None:
    """End the body; a client that does not take it is cut."""
    if stuck:
        wire.cut()
        return
    try:
        async with asyncio.timeout(_EOF_SECONDS):
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        wire.cut()
