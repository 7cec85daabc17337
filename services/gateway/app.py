"""Wires the gateway: opens what it needs, serves, drains when told to stop. Nothing it needs has to be up at start."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from schemas import mapping
from schemas.mapping import Mapping as FieldMapping
from services.gateway import bodies, docs, openapi, problems, resources
from services.gateway.books import PriceBook
from services.gateway.callers import Callers
from services.gateway.catalog import Catalog
from services.gateway.freshness import Rules
from services.gateway.ladder import Ladder, Limits
from services.gateway.listener import Listener
from services.gateway.live import Live
from services.gateway.log import Log
from services.gateway.metrics import Metrics
from services.gateway.near import Near
from services.gateway.offers import Offers
from services.gateway.orders import Desk
from services.gateway.personal import Personal
from services.gateway.postgres import Database
from services.gateway.probes import Probes
from services.gateway.responses import Responses
from services.gateway.routes import Routes
from services.gateway.settings import Settings
from services.gateway.shapes import Shapes
from services.gateway.shared import Shared
from services.gateway.statuses import Reports
from services.gateway.throttle import Throttle
from services.gateway.writes import Tokens
from services.kernel import auth, health, metrics, postgres, valkey
from services.kernel.auth import Verifier
from services.kernel.clock import SYSTEM, Clock
from services.kernel.health import Health
from services.kernel.tagcache import TagCache
from services.salesforce import door
from services.salesforce.rest import Rest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The outside, open."""

    pool: Any
    redis: Redis
    rest: Rest
    verifier: Verifier
    registry: CollectorRegistry
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    routes: Routes
    probes: Probes
    ladder: Ladder
    listener: Listener
    log: Log
    book: PriceBook
    metrics: Metrics


async def run(settings: Settings, stop: asyncio.Event) -> None:
    registry = metrics.registry()
    async with AsyncExitStack() as stack:
        redis = valkey.client(settings.valkey)
        stack.push_async_callback(redis.aclose)
        pool = await stack.enter_async_context(postgres.pool(settings.postgres, least=0))
        salesforce = await stack.enter_async_context(door.opened(settings.salesforce, redis, registry))
        verifier = await stack.enter_async_context(auth.verifier(settings.auth))
        ports = Ports(pool=pool, redis=redis, rest=salesforce.rest, verifier=verifier, registry=registry, clock=SYSTEM)
        gateway = build(settings, ports)
        stack.push_async_callback(gateway.ladder.close)
        stack.push_async_callback(gateway.routes.desk.close)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(gateway.listener.run(), name="gateway.listener"),
                tasks.create_task(gateway.log.run(), name="gateway.log"),
                tasks.create_task(gateway.ladder.refresher.run(), name="gateway.refresher"),
                tasks.create_task(gateway.book.find(), name="gateway.book"),
            ]
            await _serve(settings, gateway, registry, stop)
            for task in background:
                task.cancel()


def build(settings: Settings, ports: Ports) -> Gateway:
    """Everything that decides, from everything that is open."""
    fields = mapping.load(settings.mapping_file)
    clock, own = ports.clock, Metrics(ports.registry)
    database, said = Database(ports.pool, clock, own), Log(settings.kafka, clock, own)
    near = Near(clock, settings.near_seconds, settings.near_bytes)
    rules = Rules(cache_ms=int(settings.cache_seconds * 1000), fresh_ms=int(settings.fresh_seconds * 1000))
    ladder = Ladder(
        near=near,
        shared=Shared(TagCache(ports.redis), clock, own),
        database=database,
        throttle=Throttle(ports.redis, clock, settings.forced_per_minute),
        rules=rules,
        limits=Limits(
            live_seconds=settings.live_seconds,
            wait_seconds=settings.wait_seconds,
            shadow_reads=settings.shadow_reads,
        ),
        clock=clock,
        metrics=own,
    )
    org = settings.salesforce.salesforce_login_url
    book = PriceBook(settings.pricebook, org, ports.rest, ports.redis)
    routes = _routes(settings, ports, fields, database, said, ladder, book, rules, own)
    probes = Probes(database=database, redis=ports.redis, ladder=ladder, log=said, near=near, registry=ports.registry)
    listener = Listener(ports.redis, near, own)
    return Gateway(routes=routes, probes=probes, ladder=ladder, listener=listener, log=said, book=book, metrics=own)


def _routes(
    settings: Settings,
    ports: Ports,
    fields: FieldMapping,
    database: Database,
    said: Log,
    ladder: Ladder,
    book: PriceBook,
    rules: Rules,
    own: Metrics,
) -> Routes:
    clock, shapes = ports.clock, Shapes(fields)
    live = Live(ports.rest, database, said, fields, clock)
    edition = resources.edition(settings.mapping_file)
    offers = Offers(rest=ports.rest, database=database, mapping=fields, shadow_reads=settings.shadow_reads)
    return Routes(
        ladder=ladder,
        catalog=Catalog(database, live, fields, shapes, clock, edition),
        personal=Personal(database, live, fields, shapes, clock, edition),
        book=book,
        desk=Desk(
            rest=ports.rest,
            offers=offers,
            log=said,
            redis=ports.redis,
            mapping=fields,
            shapes=shapes,
            clock=clock,
            metrics=own,
            write_seconds=settings.write_seconds,
        ),
        reports=Reports(
            rest=ports.rest,
            database=database,
            log=said,
            redis=ports.redis,
            mapping=fields,
            clock=clock,
            metrics=own,
            live_seconds=settings.live_seconds,
        ),
        callers=Callers(ports.verifier),
        tokens=Tokens(settings.signing.cursor_keys),
        responses=Responses(rules, clock, own, settings.process.instance),
    )


def application(gateway: Gateway, checks: Health) -> web.Application:
    """The public listener."""
    app = web.Application(middlewares=[problems.middleware(gateway.metrics)], client_max_size=bodies.LARGEST_BODY)
    for route in openapi.ROUTES:
        handler = getattr(gateway.routes, route.handler)
        app.router.add_route(route.method, route.path, handler)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, handler)
    document = msgspec.json.encode(openapi.document())

    async def described(_: web.Request) -> web.Response:
        headers = {"Content-Type": "application/json", "Cache-Control": "public, max-age=300"}
        return web.Response(body=document, headers=headers)

    async def ready(_: web.Request) -> web.Response:
        return health.answer(await checks.readiness())

    app.router.add_get("/openapi.json", described)
    app.router.add_get("/health/ready", ready)
    return app


def _admin_routes(gateway: Gateway) -> list[web.RouteDef]:
    page = docs.page(openapi.document())

    async def documented(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    return [web.get("/health/queues", gateway.probes.queues), web.get("/docs", documented)]


async def _serve(settings: Settings, gateway: Gateway, registry: CollectorRegistry, stop: asyncio.Event) -> None:
    checks = Health()
    checks.ready("price_book", gateway.book.ready.check)
    checks.ready("sources", gateway.probes.has_a_source)
    # An order under way is answered before the process ends, where the grace time allows.
    drain = max(1.0, min(settings.write_seconds, settings.process.grace_seconds - 3))
    public = application(gateway, checks)
    async with (
        health.admin_server(settings.admin, checks, registry, _admin_routes(gateway)) as admin_port,
        health.served(public, settings.host, settings.port, shutdown_timeout=drain) as port,
    ):
        log.info("listening", extra={"action": "listening", "port": port, "admin_port": admin_port})
        await stop.wait()
