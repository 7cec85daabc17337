"""`umbra watch`: one line for each change as it happens, with the milliseconds from its commit in Salesforce to the
log, the row, the caches and the socket of a browser.

With a local stack the sockets are streams of its seeded accounts; elsewhere one stream may be given. What has not
been seen within `--patience` is a dash. The commit is timed by the org's clock.
Exit codes: 0 told to stop, or `--count` is reached, 1 a server is away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiokafka.errors import KafkaError

from sandbox.stack import state
from sandbox.stack.state import NotRunning
from schemas import ids
from schemas import mapping as mappings
from services.kernel import kafka, postgres, tagcache, valkey
from services.kernel.settings import KafkaSettings, PostgresSettings, ValkeySettings, load, setting
from services.kernel.valkey import AWAY
from services.ops import watching
from services.ops.changes import Change
from services.ops.errors import CommandFailed
from services.ops.interrupts import until_stopped
from services.ops.watching import Stream, Watch

_MOST_STREAMS = 10
_STOP_SECONDS = 2.0
_FAILURES = (KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError, *AWAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    kafka: KafkaSettings
    postgres: PostgresSettings
    valkey: ValkeySettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")
    watch_token: str = setting(default="", secret=True, doc="Bearer token of the account whose stream is watched.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, metavar="N", help="end after N changes")
    parser.add_argument(
        "--patience", type=float, default=10.0, metavar="SECONDS", help="wait for a stage (default: 10)"
    )
    parser.add_argument("--stream", metavar="URL", help="https://…/orders/events, with UMBRA_WATCH_TOKEN")
    parser.add_argument("--account", metavar="A", help="whose stream that is")


async def run(args: argparse.Namespace) -> int:
    settings = load(Settings, args.environ)
    printed = Printed(args.json, args.count)
    try:
        async with until_stopped() as stop, _opened(args, settings, printed) as (watch, consumer, heard, session):
            loops = [watch.read(consumer), watch.look(), watch.hear(heard)]
            loops += [watch.follow(session, each) for each in watch.streams.values()]
            sys.stderr.write(f"watching the log, rows, caches and {len(watch.streams)} streams; Ctrl-C ends it\n")
            await _until(loops, stop, printed.enough)
    except _FAILURES as error:
        raise CommandFailed(f"a server is away: {type(error).__name__}: {error}") from error
    if watch.skipped:
        sys.stderr.write(f"{watch.skipped:,} more changes came too fast to be followed one by one\n")
    return 0


@dataclass(slots=True)
class Printed:
    """enough: set once `count` changes are printed; None prints for ever"""

    json: bool
    count: int | None
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, change: Change) -> None:
        if self.enough.is_set():
            return
        print(json.dumps(change.document()) if self.json else change.line(), flush=True)
        if self.count is not None:
            self.count -= 1
            if self.count <= 0:
                self.enough.set()


async def _until(loops: list[Any], *ends: asyncio.Event) -> None:
    """Run all until one of `ends`; the first loop that fails ends all and raises."""
    tasks = [asyncio.create_task(each, name=f"watch {n}") for n, each in enumerate(loops)]
    waits = [asyncio.create_task(each.wait(), name="end") for each in ends]
    try:
        done, _ = await asyncio.wait([*tasks, *waits], return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for each in (*tasks, *waits):
            each.cancel()
        await asyncio.gather(*tasks, *waits, return_exceptions=True)


@asynccontextmanager
async def _opened(
    args: argparse.Namespace, settings: Settings, printed: Printed
) -> AsyncIterator[tuple[Watch, Any, Any, aiohttp.ClientSession]]:
    """Everything that is watched, standing at its end."""
    fields = mappings.load(settings.mapping_file)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(postgres.pool(settings.postgres, least=1, most=2))
        redis = valkey.client(settings.valkey, timeout=5.0)
        stack.push_async_callback(redis.aclose)
        heard = redis.pubsub()
        stack.push_async_callback(heard.aclose)
        await heard.subscribe(tagcache.CHANNEL)
        endless = aiohttp.ClientTimeout(total=None, sock_connect=5)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=endless, raise_for_status=True))
        streams = {each.account_id: each async for each in _streams(args, settings, session)}
        consumer = await stack.enter_async_context(_consumer(settings.kafka))
        watch = Watch(pool, redis, fields, printed.show, int(args.patience * 1000), streams)
        yield watch, consumer, heard, session


@asynccontextmanager
async def _consumer(settings: KafkaSettings) -> AsyncIterator[Any]:
    consumer = kafka.consumer(settings, group_id=None, auto_offset_reset="latest", fetch_max_wait_ms=100)
    try:
        await consumer.start()
        await watching.at_the_end(consumer)
        yield consumer
    finally:
        # aiokafka's stop may wait for ever where partitions were assigned a moment before.
        with suppress(TimeoutError):
            await asyncio.wait_for(consumer.stop(), _STOP_SECONDS)


async def _streams(
    args: argparse.Namespace, settings: Settings, session: aiohttp.ClientSession
) -> AsyncIterator[Stream]:
    if args.stream is not None:
        yield _given(args, settings)
        return
    with suppress(NotRunning, aiohttp.ClientError, TimeoutError):
        found = state.read_running(args.state_dir)
        if found.environment.get("UMBRA_KAFKA_BOOTSTRAP") != settings.kafka.bootstrap:
            return
        async with session.get(f"{found.identity}/accounts") as answer:
            accounts = (await answer.json())["accounts"]
        for account in accounts[:_MOST_STREAMS]:
            async with session.post(f"{found.identity}/token", json={"accountId": account["accountId"]}) as answer:
                token = (await answer.json())["token"]
            yield Stream(account["accountId"], f"{found.address}/orders/events", token)


def _given(args: argparse.Namespace, settings: Settings) -> Stream:
    if args.account is None or not settings.watch_token:
        raise CommandFailed("--stream needs --account and UMBRA_WATCH_TOKEN: whose stream it is", 2)
    try:
        return Stream(ids.parse(args.account), args.stream, settings.watch_token)
    except ValueError as error:
        raise CommandFailed(str(error), 2) from error
