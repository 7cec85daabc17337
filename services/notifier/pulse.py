"""The timers: heartbeats, sockets that wait, gaps to be healed, lag, goodbyes."""

from __future__ import annotations

import asyncio
import contextlib
import random

from services.kernel.errors import Retryable
from services.notifier.account_stream import AccountStream
from services.notifier.hub import Hub
from services.notifier.log import Log, beat
from services.notifier.reader import Reader
from services.notifier.registry import SLOTS, Stream
from services.notifier.snapshot import Snapshots
from services.notifier.streams import OrderStream
from services.notifier.tickets import Tickets

FLUSH_SECONDS = 0.05
STUCK_SECONDS = 30.0
"""A socket that takes nothing for so long is cut; its client resumes by its cursor."""
HEAL_SECONDS = 1.0
OWNERS_SECONDS = 0.5
OWNERS_AT_ONCE = 500
TICKETS_SECONDS = 1.0
REPLACED_MS = 30_000
"""Two browsers with one ticket take turns, slowly."""
GOODBYE_SECONDS = 0.1
"""Longest pause between two goodbyes: a few clients are no herd."""
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
        open_gaps = [stream for stream in hub.registry if stream.has_gap]
        if open_gaps and reader.log is not None:
            with contextlib.suppress(Retryable):
                await _heal(open_gaps, hub, reader.log, snapshots)


async def _heal(streams: list[Stream], hub: Hub, log: Log, snapshots: Snapshots) -> None:
    applied = await snapshots.positions(log.epoch)
    for stream in streams:
        healed = False
        if isinstance(stream, AccountStream):
            healed = stream.heal(await snapshots.account(stream.account_id, len(log.rings), log.epoch))
        elif isinstance(stream, OrderStream) and applied.get(stream.partition, 0) >= (stream.hole_until or 0):
            healed = stream.heal(await snapshots.order(stream.order_id, stream.partition, log.epoch))
        hub.metrics.healed.inc(healed)


async def owners(hub: Hub, snapshots: Snapshots) -> None:
    """Ask for the accounts of orders whose records name none."""
    while True:
        await asyncio.sleep(OWNERS_SECONDS)
        wanted = hub.unowned.orders(OWNERS_AT_ONCE)
        if wanted:
            with contextlib.suppress(Retryable):
                found = await snapshots.owners(wanted)
                for order_id, account_id in found.items():
                    hub.learn(order_id, account_id)
                hub.unowned.let_go([order for order in wanted if order not in found], hub.clock.monotonic())


async def used_tickets(hub: Hub, tickets: Tickets) -> None:
    """Close streams whose ticket has been used again, here or on another instance."""
    while True:
        await asyncio.sleep(TICKETS_SECONDS)
        if hub.ticketed:
            with contextlib.suppress(Retryable):
                turns = await tickets.turns(list({use.key for use in hub.ticketed.values()}))
                for stream, use in list(hub.ticketed.items()):
                    if turns.get(use.key, use.turn) > use.turn:
                        hub.send_away(stream, "replaced", REPLACED_MS)


async def lag(hub: Hub, reader: Reader) -> None:
    while True:
        with contextlib.suppress(Retryable):
            hub.metrics.lag.set(await reader.behind())
        hub.metrics.ring_bytes.set(0 if reader.log is None else reader.log.bytes)
        await asyncio.sleep(LAG_SECONDS)


async def goodbyes(hub: Hub, window: float) -> None:
    """Close every stream, evenly over at most `window` seconds, each with a short reconnection time of its own."""
    loop = asyncio.get_running_loop()
    streams = list(hub.registry)
    random.shuffle(streams)
    began, step = loop.time(), min(GOODBYE_SECONDS, window / max(1, len(streams)))
    for number, stream in enumerate(streams):
        wait = began + step * number - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        hub.send_away(stream, "drain", hub.retry_ms(0.1, 0.5))
    while len(hub.registry):
        for stream in hub.registry:
            stream.wire.end("drain")
        await asyncio.sleep(0.02)
