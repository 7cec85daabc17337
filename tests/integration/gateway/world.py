"""A world for gateways: an org, a shadow projected from it, a cache, a log, and as many gateways as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import jwt
from redis.asyncio import Redis

from sandbox.stack.ports import FREE
from schemas import mapping, versions
from schemas.events import Event, RecordChange, Watermark
from services.gateway import app
from services.gateway.settings import Settings
from services.kernel import settings as kernel_settings
from services.kernel.tagcache import TagCache
from services.salesforce import canonical, changes
from tests.contract.salesforce_sim.simulator import Simulator
from tests.integration.projector import harness
from tests.integration.projector.harness import Bench, Log
from tests.support.eventually import eventually

MAPPING = mapping.load()
SECRET = "a-development-secret-of-more-than-32-bytes"
ISSUER, AUDIENCE = "umbra-test", "umbra"
BOOK = "Umbra Portal"
_OBJECTS = ("Product2", "PricebookEntry", "Account", "Order")


def token(account_id: str | None, scope: str = "orders:write", sub: str = "somebody") -> dict[str, str]:
    """A header that says who calls."""
    claims = {"sub": sub, "scope": scope, "iss": ISSUER, "aud": AUDIENCE, "exp": datetime.now(UTC) + timedelta(hours=1)}
    if account_id is not None:
        claims |= {"account_id": account_id, "sub": account_id}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


@dataclass(slots=True)
class World:
    """bench: writes rows as the projector does; commit_ms: org time of the last change"""

    sim: Simulator
    bench: Bench
    redis: Redis
    environ: dict[str, str]
    log: Log = field(default_factory=Log)
    commit: int = 0

    async def fill(self) -> None:
        """Project every record of the org, as a complete full read of just now."""
        began = versions.millis(datetime.now(UTC))
        for name in _OBJECTS:
            said: list[Event] = [self._snapshot(name, record, began) for record in self.records(name)]
            await self.project(*said, *self._covered(name, "full", 0.0), *self._covered(name, "stream", 0.0))
        await self.bench.clear_outbox()

    def records(self, name: str) -> Iterator[dict[str, Any]]:
        yield from self.sim.do("GET", f"/records/{name}")["records"]

    def _snapshot(self, name: str, record: Mapping[str, Any], r0_ms: int) -> RecordChange:
        of = MAPPING.objects[name]
        return changes.snapshot(of, canonical.from_rest(of, record), r0_ms=r0_ms, origin="backfill")

    async def observed(self, name: str, seconds_ago: float) -> None:
        """Set how far an object is observed."""
        until = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        sql = "UPDATE object_coverage SET covered_until = $2 WHERE object = $1"
        await self.bench.connection.execute(sql, name, until)

    async def uncovered(self, name: str) -> None:
        await self.bench.connection.execute("DELETE FROM object_coverage WHERE object = $1", name)

    @staticmethod
    def _covered(name: str, basis: Any, seconds_ago: float) -> Iterator[Watermark]:
        until = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        phase: Any = "end" if basis == "full" else None
        yield Watermark(object=name, basis=basis, origin="backfill", covered_until=until, phase=phase)

    async def project(self, *said: Event) -> None:
        await self.bench.apply(self.log.append(*said))

    async def change(self, name: str, record_id: str, kind: Any = "update", **fields: Any) -> None:
        """A change event of now reaches the rows; the caches are not told yet."""
        self.commit += 1
        at = versions.millis(datetime.now(UTC))
        await self.project(
            RecordChange(
                kind=kind,
                object=name,
                record_id=record_id,
                version=versions.event_version(at, self.commit, 1),
                origin="cdc",
                fields=fields,
                committed_at=versions.moment(at),
            )
        )

    async def tell(self) -> None:
        """Tell the caches what changed, as the projector does after its commit."""
        told = await self.bench.tags()
        lsn = await self.bench.connection.fetchval("SELECT pg_current_wal_lsn()::text")
        await TagCache(self.redis).invalidate(told, lsn)
        await self.bench.clear_outbox()

    def entry(self, sku: str, currency: str = "JPY") -> dict[str, Any]:
        """The portal's price entry of a product."""
        product = self.product(sku)
        book = next(each["Id"] for each in self.records("Pricebook2") if each["Name"] == BOOK)
        return next(
            each
            for each in self.records("PricebookEntry")
            if (each["Product2Id"], each["Pricebook2Id"], each["CurrencyIsoCode"]) == (product["Id"], book, currency)
        )

    def product(self, sku: str) -> dict[str, Any]:
        return next(each for each in self.records("Product2") if each["StockKeepingUnit"] == sku)

    def account(self, eligibility: str | None) -> str:
        """A seeded account with this eligibility."""
        found = (each for each in self.records("Account") if each.get("Internet_Eligibility__c") == eligibility)
        return str(next(found)["Id"])

    def order(self, status: str | None = None) -> dict[str, Any]:
        return next(each for each in self.records("Order") if status in (None, each["Status"]))

    def calls(self) -> int:
        """API calls that Salesforce has counted."""
        return int(self.sim.do("GET", "/state")["daily_api_calls"]["used"])

    def switch(self, to: str) -> None:
        self.sim.do("POST", "/switch", {"salesforce": to})

    @asynccontextmanager
    async def gateway(self, *, wait: bool = True, **more: str) -> AsyncIterator[Client]:
        """A gateway of its own with settings of its own."""
        environ = self.environ | {"UMBRA_PORT": str(FREE.take()), "UMBRA_ADMIN_PORT": str(FREE.take())} | more
        loaded = kernel_settings.load(Settings, environ)
        stop = asyncio.Event()
        task = asyncio.create_task(app.run(loaded, stop), name="gateway under test")
        base, admin = (f"http://127.0.0.1:{environ[name]}" for name in ("UMBRA_PORT", "UMBRA_ADMIN_PORT"))
        async with aiohttp.ClientSession() as session:
            client = Client(session, base, admin, task)
            try:
                if wait:
                    await eventually(client.is_ready, within=15)
                yield client
            finally:
                stop.set()
                await task


@dataclass(slots=True)
class Got:
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def source(self) -> str:
        return self.headers["Umbra-Source"]


@dataclass(slots=True)
class Client:
    session: aiohttp.ClientSession
    base: str
    admin: str
    task: asyncio.Task[None]

    async def answers(self) -> int:
        """Status of its readiness; 0 while nobody listens."""
        assert not self.task.done(), self.task.exception()
        try:
            return (await self.get("/health/ready")).status
        except aiohttp.ClientConnectionError:
            return 0

    async def is_ready(self) -> bool:
        return await self.answers() == 200

    async def get(self, path: str, headers: Mapping[str, str] | None = None, **params: str) -> Got:
        return await self._call("GET", path, headers, params=params)

    async def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Got:
        return await self._call("POST", path, headers, json=body)

    async def _call(self, method: str, path: str, headers: Mapping[str, str] | None, **more: Any) -> Got:
        url = path if path.startswith("http") else self.base + path
        async with self.session.request(method, url, headers=headers, **more) as answer:
            is_json = "json" in answer.content_type and answer.status != 304
            return Got(answer.status, answer.headers, await answer.json(content_type=None) if is_json else None)


def environ(sim: Simulator, postgres_dsn: str, valkey_url: str, kafka_bootstrap: str) -> dict[str, str]:
    return {
        "UMBRA_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "UMBRA_POSTGRES_DSN": postgres_dsn,
        "UMBRA_VALKEY_URL": valkey_url,
        "UMBRA_JWKS_URL": "http://127.0.0.1:9/none",
        "UMBRA_JWT_ISSUER": ISSUER,
        "UMBRA_JWT_AUDIENCE": AUDIENCE,
        "UMBRA_JWT_DEVELOPMENT_SECRET": SECRET,
        "UMBRA_CURSOR_KEYS": "a-signing-key-of-the-tests-with-32-characters",
        "UMBRA_SALESFORCE_LOGIN_URL": sim.http,
        "UMBRA_SALESFORCE_CLIENT_ID": sim.client_id,
        "UMBRA_SALESFORCE_CLIENT_SECRET": sim.client_secret,
        "UMBRA_PRICEBOOK": BOOK,
        "ENABLE_SF_SHADOW_READS": "true",
        "UMBRA_GRACE_SECONDS": "5",
    }


@asynccontextmanager
async def opened(
    sim: Simulator, postgres_dsn: str, owner_dsn: str, valkey_url: str, kafka_bootstrap: str
) -> AsyncIterator[World]:
    redis: Redis = Redis.from_url(valkey_url)
    try:
        async with harness.opened(owner_dsn) as bench:
            world = World(sim, bench, redis, environ(sim, postgres_dsn, valkey_url, kafka_bootstrap))
            await world.fill()
            yield world
    finally:
        await redis.aclose()
