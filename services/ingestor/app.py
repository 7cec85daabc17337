"""Wires the ingestor: the door to Salesforce, the Pub/Sub client, and the ownership of topics."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from schemas import mapping as mappings
from schemas.mapping import Mapping, MappingError
from services.ingestor import reading
from services.ingestor.jobs.means import Means
from services.ingestor.jobs.metrics import JobMetrics
from services.ingestor.jobs.turns import Turns
from services.ingestor.metrics import Metrics
from services.ingestor.ownership import Jobs, Ownership
from services.ingestor.repair import repairs
from services.ingestor.repair.metrics import RepairMetrics
from services.ingestor.repair.repairs import Repairs
from services.ingestor.schedule import Schedule
from services.ingestor.settings import Settings
from services.ingestor.stream import Source
from services.kernel import metrics as kernel_metrics
from services.kernel import valkey
from services.kernel.clock import SYSTEM
from services.kernel.errors import Fatal
from services.kernel.health import Health, admin_server
from services.salesforce import door
from services.salesforce.door import Door
from services.salesforce.pubsub import client
from services.salesforce.pubsub.avro import SchemaCache
from services.salesforce.pubsub.org_clock import OrgClock

log = logging.getLogger(__name__)

_BAD_SETTINGS = 2
_JOB_SECONDS = 12 * 3_600.0
"""Longest wait for one Bulk job of ours."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Stream until `stop`; with the stream disabled, only answer probes."""
    registry, health = kernel_metrics.registry(), Health()
    counts = Metrics(registry)
    mapping = _mapping(settings)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(admin_server(settings.admin, health, registry))
        if not settings.stream.stream_enabled:
            log.info("the stream is disabled", extra={"action": "stream_disabled"})
            await stop.wait()
            return
        cache = valkey.client(settings.valkey)
        stack.push_async_callback(cache.aclose)
        salesforce = await stack.enter_async_context(door.opened(settings.salesforce, cache, registry))
        opened = client.opened(settings.salesforce, salesforce.login, OrgClock())
        pubsub = await stack.enter_async_context(opened)
        source = Source(
            pubsub=pubsub,
            schemas=SchemaCache(pubsub.schema),
            mapping=mapping,
            settings=settings.stream,
            metrics=counts,
            clock=SYSTEM,
        )
        ownership = Ownership(settings.kafka, source, _jobs(settings, salesforce, source, registry))
        health.ready("streams", ownership.check)
        await ownership.run(stop)


def _jobs(settings: Settings, salesforce: Door, source: Source, registry: CollectorRegistry) -> Jobs | None:
    """What the owner of the jobs runs; None where there is no database to say what is due."""
    repair = settings.repair
    if not repair.postgres_dsn:
        log.warning("nothing is repaired: UMBRA_POSTGRES_DSN is not set", extra={"action": "repairs_off"})
        return None
    means = Means(
        kafka=settings.kafka,
        rest=salesforce.rest,
        bulk=salesforce.bulk,
        dsn=repair.postgres_dsn,
        statuses=source.mapping.order_status,
        margin_ms=repair.read_margin_ms,
        job_seconds=_JOB_SECONDS,
        clock=source.clock,
    )
    counts = JobMetrics(registry)
    turns = Turns(counts)
    closing = repairs.Jobs(full=turns.full, delta=turns.delta)
    org_now_ms = source.pubsub.org_clock.now_ms
    work = Repairs(means, source.mapping, closing, repair, RepairMetrics(registry), org_now_ms)
    return Schedule(means, source.mapping.objects, settings.schedule, turns, counts, work).run


def _mapping(settings: Settings) -> Mapping:
    try:
        mapping = mappings.load(settings.mapping_file)
    except MappingError as error:
        raise Fatal(str(error), _BAD_SETTINGS) from error
    unknown = reading.unknown(settings.stream.stream_topics, mapping)
    if unknown:
        raise Fatal(f"the mapping does not say what these topics carry: {', '.join(unknown)}", _BAD_SETTINGS)
    return mapping
