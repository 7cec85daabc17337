"""Plays the provisioning system: new orders are activated in Salesforce, and each step is reported to Umbra.

Prints one line of JSON when it is ready. SIGTERM ends it; what it was working on is found again at the next start.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
from aiohttp import web

from sandbox.fulfilment import drafts, settings
from sandbox.fulfilment.drafts import Draft, Drafts
from sandbox.fulfilment.gateway import Gateway
from sandbox.fulfilment.provision import Provisioning
from sandbox.fulfilment.salesforce import Salesforce

_AT_ONCE = 32
"""Orders worked on at the same time; more wait in Kafka."""


def main(argv: Sequence[str] | None = None) -> int:
    chosen = settings.parse(argv, os.environ)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    return asyncio.run(_until_stopped(chosen))


async def _until_stopped(chosen: settings.Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    working = asyncio.create_task(_run(chosen), name="fulfilment")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        await working
        return 1
    working.cancel()
    await asyncio.wait({working})
    return 0


async def _run(chosen: settings.Settings) -> None:
    async with aiohttp.ClientSession() as session, _consuming(chosen) as found:
        provisioning = Provisioning(
            salesforce=Salesforce(session, chosen),
            gateway=Gateway(session, chosen),
            since=None if chosen.everything else found.since,
            delay=chosen.delay,
            fail_every=chosen.fail_every,
            now=_now,
        )
        async with _admin(chosen.admin_host, chosen.admin_port) as address:
            sys.stdout.write(json.dumps({"ready": True, "admin": address, "since": found.since.isoformat()}) + "\n")
            sys.stdout.flush()
            await _work(found, provisioning)


@asynccontextmanager
async def _consuming(chosen: settings.Settings) -> AsyncIterator[Drafts]:
    consumer = drafts.consumer(chosen.kafka_bootstrap)
    await consumer.start()
    try:
        yield await Drafts.begin(consumer, chosen.kafka_bootstrap, _now(), everything=chosen.everything)
    finally:
        await consumer.stop()


def _now() -> datetime:
    return datetime.now(UTC)


async def _work(found: Drafts, provisioning: Provisioning) -> None:
    places = asyncio.Semaphore(_AT_ONCE)
    busy: set[str] = set()

    async def provision(draft: Draft) -> None:
        # The gateway and the org both tell of a new order; the second telling adds nothing.
        if draft.order_id not in busy:
            busy.add(draft.order_id)
            await provisioning.run(draft.order_id)
            busy.discard(draft.order_id)
        places.release()
        await found.done(draft)

    async with asyncio.TaskGroup() as tasks:
        async for draft in found:
            await places.acquire()
            tasks.create_task(provision(draft), name=f"provision {draft.order_id}")


@asynccontextmanager
async def _admin(host: str, port: int) -> AsyncIterator[str]:
    """The probes that whoever runs this asks; it is up only while orders are read."""
    app = web.Application()
    app.add_routes([web.get("/health/live", _well), web.get("/health/ready", _well)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _well(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


if __name__ == "__main__":
    sys.exit(main())
