"""The door, put together: one per process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.salesforce.budget import SharedBudget, budget_of
from services.salesforce.bulk import Bulk
from services.salesforce.login import Login
from services.salesforce.metrics import DoorMetrics
from services.salesforce.queue import SalesforceRequestQueue
from services.salesforce.rest import Rest
from services.salesforce.settings import SalesforceSettings
from services.salesforce.slots import Slots
from services.salesforce.starts import Starts
from services.salesforce.transport import Transport

_LOGIN_THREADS = 2
"""Threads beside those of the calls, so that a login never waits for the calls that wait for it."""


@dataclass(frozen=True, slots=True)
class Door:
    login: Login
    budget: SharedBudget
    queue: SalesforceRequestQueue
    rest: Rest
    bulk: Bulk


@asynccontextmanager
async def opened(settings: SalesforceSettings, valkey: Redis, registry: CollectorRegistry) -> AsyncIterator[Door]:
    """The process's door; makes no call before somebody asks for one. Closing it ends every call under way."""
    metrics = DoorMetrics(registry)
    slots = Slots(settings.salesforce_concurrency, settings.salesforce_waiting)
    metrics.watch(slots)
    async with AsyncExitStack() as stack:
        threads = settings.salesforce_concurrency + _LOGIN_THREADS
        transport = Transport(threads, settings.salesforce_ca_file, settings.salesforce_connect_seconds)
        stack.callback(transport.close)
        login = Login(settings, transport, metrics)
        stack.push_async_callback(login.close)
        budget = budget_of(settings, valkey)
        queue = SalesforceRequestQueue(
            slots=slots,
            budget=budget,
            login=login,
            transport=transport,
            metrics=metrics,
            api_version=settings.salesforce_api_version,
            longest_seconds=settings.salesforce_call_seconds,
        )
        stack.push_async_callback(queue.close)
        starts = Starts()
        yield Door(login, budget, queue, Rest(queue, starts), Bulk(queue, starts))
