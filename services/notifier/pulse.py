"""The timers: heartbeats, sockets that wait, gaps to be healed, lag, goodbyes."""

from __future__ import annotations

import asyncio
import contextlib
import random

from services.kernel.errors import Retryable
from services.notifier import sse
from services.notifier.hub import Hub
from services.notifier.log import beat
from services.notifier.reader import Reader
from services.notifier.registry import SLOTS
from services.notifier.snapshot import Snapshots
from services.notifier.streams import OrderStream

FLUSH_SECONDS = 0.05
STUCK_SECONDS = 30.0
"""A socket that takes nothing for so long is cut; its client resumes by its cursor."""
HEAL_SECONDS = 1.0
LAG_SECONDS = 5.0


async def heartbeats(hub: Hub) -> None:
    while True:
        await asyncio.sleep(hub.settings.heartbeat_seconds / SLOTS)
        hub.registry.tick(lambda: beat(hub.clock.now()))


async def waiting_sockets(hub: Hub) -> None:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        for stream in hub.registry.flush(STUCK_SECONDS):
            stream.wire.end("stuck")


async def gaps(hub: Hub, reader: Reader, snapshots: Snapshots) -> None:
    """Heal streams with a gap as soon as Postgres has what they lack."""
    while True:
        await asyncio.sleep(HEAL_SECONDS)
        open_gaps = [stream for stream in hub.registry if stream.hole_until is not None]
        if open_gaps and reader.log is not None:
            with contextlib.suppress(Retryable):
                applied = await snapshots.positions(reader.log.epoch)
                for stream in open_gaps:
                    if isinstance(stream, OrderStream):
                        await _heal(stream, hub, reader, snapshots, applied)


async def _heal(stream: OrderStream, hub: Hub, reader: Reader, snapshots: Snapshots, applied: dict[int, int]) -> None:
    if reader.log is None or stream.hole_until is None or applied.get(stream.partition, 0) < stream.hole_until:
        return
    if stream.heal(await snapshots.order(stream.order_id, stream.partition, reader.log.epoch)):
        hub.metrics.healed.inc()


async def lag(hub: Hub, reader: Reader) -> None:
    while True:
        with contextlib.suppress(Retryable):
            hub.metrics.lag.set(await reader.behind())
        hub.metrics.ring_bytes.set(0 if reader.log is None else reader.log.bytes)
        await asyncio.sleep(LAG_SECONDS)


async def goodbyes(hub: Hub, window: float) -> None:
    """Close every stream, evenly over `window` seconds, each with a short reconnection time of its own."""
    loop = asyncio.get_running_loop()
    streams = list(hub.registry)
    random.shuffle(streams)
    began = loop.time()
    for number, stream in enumerate(streams):
        wait = began + window * number / len(streams) - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        stream.tell("stream", sse.encode({"resume": "later", "reason": "drain"}), hub.retry_ms(0.1, 0.5))
        stream.wire.end("drain")
    while len(hub.registry):
        for stream in hub.registry:
            stream.wire.end("drain")
        await asyncio.sleep(0.02)
