"""The Salesforce section: asks the org once for each thing, and lets the pure checks judge.

A call that fails is a finding and the others go on. Nothing is written in the org.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from schemas import mapping as mappings
from schemas import topics
from schemas.mapping import Mapping as FieldMapping
from services.kernel.settings import setting
from services.ops.checks import allowances, books, configured, events, login, shape
from services.ops.checks.asking import Asking
from services.ops.checks.cost import Cost
from services.ops.checks.events import Seen
from services.ops.checks.findings import Finding, fail, failed, ok, warn
from services.salesforce import door
from services.salesforce.calls import within
from services.salesforce.door import Door
from services.salesforce.errors import BudgetRefused, LimitExceeded, Refused, SalesforceError
from services.salesforce.login import Token
from services.salesforce.pubsub import client as pubsub
from services.salesforce.pubsub.org_clock import OrgClock
from services.salesforce.settings import SalesforceSettings

_LOGIN_SECONDS = 20.0
_ORDER, _ITEM = "Order", "OrderItem"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrgSettings:
    salesforce: SalesforceSettings
    mapping_file: Path | None = setting(default=None, doc="Field mapping; the one that comes with Umbra where empty.")
    pricebook: str = setting(default="", doc="Id or name of the price book that is sold from.")


async def examine(
    settings: OrgSettings, valkey: Redis, cost: Cost, *, subscribe: bool = False
) -> AsyncIterator[Finding]:
    """Everything about the org, in the order in which it has to be put right.

    subscribe: also open a stream on every topic, the only thing that may cost deliveries
    """
    found = configured.examine(settings.salesforce)
    mapping = _mapping(settings.mapping_file)
    if isinstance(mapping, Finding):
        found.append(mapping)
    for finding in found:
        yield finding
    if failed(found) or isinstance(mapping, Finding):
        return
    async with door.opened(settings.salesforce, valkey, cost.registry) as opened:
        token, found = await _logged_in(settings.salesforce, opened)
        for finding in found:
            yield finding
        if token is not None:
            checks = Org(settings, mapping, opened, token)
            async for finding in checks.findings():
                yield finding
            if subscribe:
                for finding in await checks.subscribed(cost):
                    yield finding


def _mapping(file: Path | None) -> FieldMapping | Finding:
    try:
        return mappings.load(file)
    except mappings.MappingError as error:
        return fail("salesforce.mapping", str(error), "correct the file that UMBRA_MAPPING_FILE names, or unset it")


async def _logged_in(settings: SalesforceSettings, opened: Door) -> tuple[Token | None, list[Finding]]:
    before = time.time()
    try:
        token = await opened.login.token(within(_LOGIN_SECONDS))
    except Refused as error:
        drift = await login.drift(settings)
        clock = [] if drift is None else [login.clock(drift)]
        return None, [login.refused(settings, error, drift), *clock]
    except SalesforceError as error:
        return None, [login.away(settings, error)]
    drift = login.drift_of(token.issued_at, before, time.time())
    return token, [login.logged_in(settings, token), login.clock(drift)]


class Org:
    """The checks that need a login."""

    def __init__(self, settings: OrgSettings, mapping: FieldMapping, opened: Door, token: Token) -> None:
        self._settings = settings
        self._mapping = mapping
        self._door = opened
        self._token = token
        self._asking = Asking(opened)

    async def findings(self) -> AsyncIterator[Finding]:
        for step in (self._version, self._identity):
            finding = await step()
            yield finding
            if finding.level == "FAIL":
                return
        members = await self._asking.members()
        seen = [each async for each in self._topics()]
        async for finding in self._objects({each.topic: each for each in seen}):
            yield finding
        yield books.examine(await self._asking.books(), self._settings.pricebook)
        yield events.selection(members, topics.SALESFORCE_TOPICS)
        for each in seen:
            yield events.judge(each, self._mapping, self._settings.salesforce)
        async for finding in self._allowances():
            yield finding

    async def _version(self) -> Finding:
        check, wanted = "salesforce.version", self._settings.salesforce.salesforce_api_version
        offered = await self._asking.versions()
        if isinstance(offered, BudgetRefused | LimitExceeded):
            return _spent(offered)
        if isinstance(offered, SalesforceError):
            return fail(check, f"the org does not tell its API versions: {offered}", "see salesforce.login")
        if wanted in offered:
            return ok(check, f"API {wanted} is offered, the newest is {offered[-1]}")
        remedy = f"set UMBRA_SALESFORCE_API_VERSION to one of {offered[0]} to {offered[-1]}"
        return fail(check, f"API {wanted} is not offered", remedy)

    async def _identity(self) -> Finding:
        check, found = "salesforce.org", await self._asking.organization()
        if isinstance(found, BudgetRefused | LimitExceeded):
            return _spent(found)
        if isinstance(found, SalesforceError):
            return fail(check, f"nothing can be read as this user: {found}", f"{shape.ASSIGN} (it gives API Enabled)")
        kind = "a sandbox" if found.get("IsSandbox") else "production or a developer org"
        host = configured.login_host(self._settings.salesforce)
        if found.get("IsSandbox") and host == configured.SHARED_HOSTS[0]:
            return warn(check, f"{host} led to a sandbox", f"use https://{configured.SHARED_HOSTS[1]} for it")
        return ok(check, f"{found.get('OrganizationType')}, {kind}, id {self._token.organization_id}")

    async def _topics(self) -> AsyncIterator[Seen]:
        async with pubsub.opened(self._settings.salesforce, self._door.login, OrgClock()) as client:
            for topic in topics.SALESFORCE_TOPICS:
                yield await events.look(client, topic)

    async def subscribed(self, cost: Cost) -> list[Finding]:
        """A short subscription to every topic at once."""
        async with pubsub.opened(self._settings.salesforce, self._door.login, OrgClock()) as client:
            names = topics.SALESFORCE_TOPICS
            tried = await asyncio.gather(*(events.subscribe(client, name) for name in names))
        cost.deliveries += sum(each.delivered for each in tried)
        return [events.proof(each, self._settings.salesforce) for each in tried]

    async def _objects(self, seen: Mapping[str, Seen]) -> AsyncIterator[Finding]:
        described: dict[str, Mapping[str, Any]] = {}
        for name in (*self._mapping.objects, _ITEM):
            found = await self._asking.describe(name)
            if isinstance(found, SalesforceError):
                yield _undescribed(name, found)
                continue
            described[name] = found
            if name in self._mapping.objects:
                told = seen.get(f"/data/{name}ChangeEvent")
                in_events = None if told is None or told.error else told.fields
                for finding in shape.examine(self._mapping.objects[name], found, in_events):
                    yield finding
        for finding in self._ordering(described):
            yield finding

    def _ordering(self, described: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
        status = self._mapping.order_status
        if _ORDER in described and _ITEM in described:
            statuses = {*status.terminal, *status.messages}
            yield from shape.ordering(described[_ORDER], described[_ITEM], statuses)

    async def _allowances(self) -> AsyncIterator[Finding]:
        since = datetime.now(UTC) - timedelta(days=1)
        changed = {}
        for name in self._mapping.objects:
            found = await self._asking.changed_since(name, since)
            changed[name] = 0 if isinstance(found, SalesforceError) else found
        limits = await self._asking.limits()
        for finding in allowances.examine(limits, changed, self._settings.salesforce):
            yield finding


def _spent(error: SalesforceError) -> Finding:
    remedy = "wait, or find who spends them: Setup, System Overview"
    return fail("salesforce.allowances.api", f"the API calls of 24 hours are spent: {error}", remedy)


def _undescribed(name: str, error: SalesforceError) -> Finding:
    check = "salesforce.orders" if name == _ITEM else f"salesforce.mapping.{name}"
    remedy = shape.ASSIGN
    if name in {_ORDER, _ITEM}:
        remedy += "; orders have to be enabled: Setup, Order Settings"
    return fail(check, f"{name} is not there, or hidden from the integration user: {error}", remedy)
