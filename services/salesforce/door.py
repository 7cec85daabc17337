"""The door, put together: one per process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from services.salesforce.bulk import Bulk
from services.salesforce.login import Login
from services.salesforce.queue import SalesforceRequestQueue
from services.salesforce.rest import Rest
from services.salesforce.settings import SalesforceSettings


@dataclass(frozen=True, slots=True)
class Door:
    login: Login
    queue: SalesforceRequestQueue
    rest: Rest
    bulk: Bulk


@asynccontextmanager
async def opened(settings: SalesforceSettings, valkey: Redis, registry: CollectorRegistry) -> AsyncIterator[Door]:
    """The process's door; makes no call before somebody asks for one. Closing it ends every call under way."""
    raise NotImplementedError
    yield
