"""Wires the notifier: opens what it needs, runs its tasks, drains when told to stop."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

from aiohttp import web
from prometheus_client import CollectorRegistry

from schemas import mapping
from services.kernel import auth, health, metrics, postgres, valkey
from services.kernel.clock import SYSTEM
from services.kernel.health import Gate, Health
from services.notifier import pulse, routes
from services.notifier.hub import Hub
from services.notifier.metrics import Metrics
from services.notifier.reader import Reader
from services.notifier.settings import Settings
from services.notifier.snapshot import Snapshots
from services.notifier.tickets import Tickets

log = logging.getLogger(__name__)

DRAIN_SHARE = 0.6
"""Of the grace time at most; the rest is for closing."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    registry, checks = metrics.registry(), Health()
    hub = Hub(settings, SYSTEM, Metrics(registry), Gate("reading the recent log"))
    checks.ready("log", hub.ready.check)
    async with AsyncExitStack() as stack:
        # No connection at start: Postgres may be away, and exact resumes do not need it.
        pool = await stack.enter_async_context(postgres.pool(settings.postgres, least=0))
        verifier = await stack.enter_async_context(auth.verifier(settings.auth))
        snapshots = Snapshots(pool, mapping.load(settings.mapping_file).order_status)
        reader = _reader(hub, snapshots)
        tickets = Tickets(await stack.enter_async_context(valkey.client(settings.valkey)))
        public = routes.application(hub, reader, snapshots, verifier, tickets)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(reader.run(), name="notifier.reader"),
                tasks.create_task(pulse.heartbeats(hub), name="notifier.heartbeats"),
                tasks.create_task(pulse.waiting_sockets(hub), name="notifier.sockets"),
                tasks.create_task(pulse.gaps(hub, reader, snapshots), name="notifier.gaps"),
                tasks.create_task(pulse.owners(hub, snapshots), name="notifier.owners"),
                tasks.create_task(pulse.used_tickets(hub, tickets), name="notifier.tickets"),
                tasks.create_task(pulse.lag(hub, reader), name="notifier.lag"),
            ]
            await _serve(settings, hub, checks, public, registry, stop)
            for task in background:
                task.cancel()


async def _serve(
    settings: Settings,
    hub: Hub,
    checks: Health,
    public: web.Application,
    registry: CollectorRegistry,
    stop: asyncio.Event,
) -> None:
    async with (
        health.admin_server(settings.admin, checks, registry) as admin_port,
        health.served(public, settings.host, settings.port) as port,
    ):
        log.info("listening", extra={"action": "listening", "port": port, "admin_port": admin_port})
        await stop.wait()
        hub.draining = True
        hub.ready.close("draining")
        await pulse.goodbyes(hub, min(settings.drain_seconds, settings.process.grace_seconds * DRAIN_SHARE))


def _reader(hub: Hub, snapshots: Snapshots) -> Reader:
    return Reader(
        hub.settings.kafka,
        window=hub.settings.ring_window,
        open_log=hub.open_log,
        epoch=snapshots.epoch,
        on_entry=hub.on_entry,
        on_batch=hub.registry.settle,
        on_replaced=hub.on_replaced,
        ready=hub.ready,
    )
