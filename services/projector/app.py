"""The projector, wired: opens its connections, runs the engine beside the teller and the monitor, drains."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import asyncpg
from aiokafka.errors import KafkaError

from schemas import mapping
from services.kernel import kafka, metrics, postgres, valkey
from services.kernel.clock import SYSTEM
from services.kernel.errors import Fatal
from services.kernel.health import Gate, Health, admin_server
from services.kernel.lifecycle import BAD_SETTINGS
from services.kernel.retry import Backoff
from services.kernel.tagcache import TagCache
from services.projector import dead_letters
from services.projector.coverage_watch import CoverageWatch
from services.projector.dead_letters import DeadLetters
from services.projector.engine import driver
from services.projector.engine.desk import Desk
from services.projector.engine.ledger import Ledger
from services.projector.metrics import Metrics
from services.projector.monitor import Monitor
from services.projector.outbox import Teller
from services.projector.settings import Settings
from services.projector.tombstones import Tombstones
from services.projector.work import Work

log = logging.getLogger(__name__)


async def run(settings: Settings, stop: asyncio.Event, *, work_class: type[Work] = Work) -> None:
    """Project until `stop`; raises Fatal where going on would lose or invent something.

    work_class: a test's own, which ends the process where it hurts most
    """
    fields = _mapping(settings)
    registry, health, gate = metrics.registry(), Health(), Gate("no partitions assigned yet")
    health.ready("assignment", gate.check)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(admin_server(settings.admin, health, registry))
        log.info("admin listener is open", extra={"action": "admin", "port": port})
        if not await _all_there(settings, stop):
            return
        pool = await stack.enter_async_context(postgres.pool(settings.postgres, least=1, most=4))
        client = valkey.client(settings.valkey)
        stack.push_async_callback(client.aclose)
        send = await stack.enter_async_context(dead_letters.to_topic(settings.kafka))
        counted, ledger = Metrics(registry), Ledger()
        teller = Teller(pool, TagCache(client), ledger, counted)
        letters = DeadLetters(send, limit=settings.projector_dead_letter_limit, clock=SYSTEM)
        work = work_class(
            dsn=settings.postgres.dsn,
            mapping=fields,
            ledger=ledger,
            outlet=letters.take,
            metrics=counted,
            clock=SYSTEM,
            committed=teller.wake,
        )
        stack.push_async_callback(work.close)
        await work.open()
        desk = Desk(
            work=work,
            ledger=ledger,
            teller=teller,
            pool=pool,
            kafka=settings.kafka,
            batch_records=settings.projector_batch_records,
        )
        coverage = CoverageWatch(pool, counted, SYSTEM, timedelta(days=settings.projector_ledger_days))
        monitor = Monitor(pool, ledger, work, counted, SYSTEM, coverage)
        app = driver.build(_tuning(settings), desk)
        health.ready("postgres", monitor.postgres)
        health.live("progress", monitor.progress)
        health.live("group", driver.Membership(app, SYSTEM).check)
        tombstones = Tombstones(pool, counted, timedelta(days=settings.projector_tombstone_days))
        await _together(app, stop, gate, teller, monitor, tombstones)


def _mapping(settings: Settings) -> mapping.Mapping:
    try:
        return mapping.load(settings.mapping_file)
    except mapping.MappingError as error:
        raise Fatal(str(error), BAD_SETTINGS) from error


async def _together(
    app: driver.App, stop: asyncio.Event, gate: Gate, teller: Teller, monitor: Monitor, tombstones: Tombstones
) -> None:
    """Engine and those beside it: the first that fails ends all; the engine's end ends the others."""
    async with asyncio.TaskGroup() as group:
        others = [
            group.create_task(teller.run(), name="teller"),
            group.create_task(monitor.run(), name="monitor"),
            group.create_task(tombstones.run(), name="tombstones"),
        ]
        await driver.drive(app, stop, ready=gate.open)
        for task in others:
            task.cancel()


def _tuning(settings: Settings) -> driver.Tuning:
    return driver.Tuning(
        group=settings.projector_group,
        bootstrap=settings.kafka.bootstrap,
        topics=settings.topics,
        static_id=settings.projector_static_id,
        session_timeout=settings.projector_session_seconds,
        poll_records=2 * settings.projector_batch_records,
    )


async def _all_there(settings: Settings, stop: asyncio.Event) -> bool:
    """Wait until Postgres and Kafka answer and the topics are there; False when told to stop before."""
    backoff = Backoff(first=0.1, longest=2.0)
    while not stop.is_set():
        missing = await _missing(settings)
        if missing is None:
            return True
        if backoff.tries == 0:
            log.warning("waiting before the start", extra={"action": "wait", "for": missing})
        await _sleep(stop, backoff.next())
    return False


async def _missing(settings: Settings) -> str | None:
    try:
        connection = await asyncpg.connect(settings.postgres.dsn, timeout=5)
        migrated = await connection.fetchval("SELECT to_regclass('coverage_span') IS NOT NULL")
        await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if not postgres.is_transient(error):
            raise Fatal(f"Postgres refuses: {type(error).__name__}") from error
        return "Postgres"
    if not migrated:
        return "the tables: run `umbra migrate`"
    try:
        async with kafka.admin(settings.kafka) as admin:
            present = set(await admin.list_topics())
    except (KafkaError, OSError):
        return "Kafka"
    absent = sorted(set(settings.topics) - present)
    return f"topics {', '.join(absent)}: run `umbra migrate`" if absent else None


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    waiter: Any = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait({waiter}, timeout=seconds)
    waiter.cancel()
