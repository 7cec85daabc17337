"""The stream: events a second into the log out of a backlog, and the time from a commit to the log at a steady rate."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from bench import worlds
from bench.report import Metric, percentile
from bench.worlds import Org, Worker
from schemas import topics
from services.kernel import kafka
from services.kernel.settings import KafkaSettings

SALESFORCE_TOPIC = "/data/PricebookEntryChangeEvent"
TOPIC = topics.RECORD_TOPICS["PricebookEntry"]
_PER_TRANSACTION = 100
_A_SECOND = 50
_PATIENCE_SECONDS = 120

Subject = Callable[[Mapping[str, str]], AbstractAsyncContextManager[Worker]]


@dataclass(slots=True)
class Measured:
    backlog: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


async def measure(runs: int, backlog: int, paced: int) -> list[Metric]:
    """Interleaved: the floor and ours in turn, each on an empty log of its own, against one org."""
    subjects = {"floor": _floor, "ours": _ours}
    measured = {name: Measured() for name in subjects}
    async with worlds.org("--products", "500") as org:
        entries = await _entries(org)
        await _fill(org, entries, backlog)
        for _ in range(runs):
            for name, subject in subjects.items():
                await _one_run(org, entries, subject, backlog, paced, measured[name])
    return _metrics(measured["ours"], measured["floor"])


def _metrics(ours: Measured, floor: Measured) -> list[Metric]:
    return [
        Metric(name="stream, events to the log", unit="/s", better="higher", ours=ours.backlog, floor=floor.backlog),
        Metric(name="commit to log at 50/s, p50", unit="ms", better="lower", ours=ours.p50, floor=floor.p50),
        Metric(
            name="commit to log at 50/s, p99",
            unit="ms",
            better="lower",
            ours=ours.p99,
            floor=floor.p99,
            target=60,
            absolute=True,
        ),
    ]


async def _entries(org: Org) -> list[str]:
    """Entries of no standard book: nothing mirrors their price, so one update is one event."""
    standard = {book["Id"] for book in await org.records("Pricebook2") if book["IsStandard"]}
    found = [str(each["Id"]) for each in await org.records("PricebookEntry") if each["Pricebook2Id"] not in standard]
    return found[:_PER_TRANSACTION]


async def _fill(org: Org, entries: list[str], count: int) -> None:
    """So many change events, of prices that are all different."""
    for number in range(0, count, len(entries)):
        changes = [_update(entry, 1 + (number + index) / 100) for index, entry in enumerate(entries)]
        await org.do("/transaction", {"operations": changes})


def _update(entry: str, price: float) -> dict[str, object]:
    return {"op": "update", "object": "PricebookEntry", "id": entry, "fields": {"UnitPrice": round(price, 2)}}


async def _one_run(org: Org, entries: list[str], subject: Subject, backlog: int, paced: int, into: Measured) -> None:
    async with (
        worlds.log() as settings,
        _arrivals(settings["UMBRA_KAFKA_BOOTSTRAP"]) as arrivals,
        subject({**settings, **org.environment}),
    ):
        first = last = await _next(arrivals)
        for _ in range(backlog - 1):
            last = await _next(arrivals)
        into.backlog.append((backlog - 1) / (last - first))
        late = await _paced(org, entries, arrivals, paced)
    into.p50.append(percentile(late, 0.5))
    into.p99.append(percentile(late, 0.99))


async def _next(arrivals: asyncio.Queue[float]) -> float:
    return await asyncio.wait_for(arrivals.get(), _PATIENCE_SECONDS)


async def _quiet(arrivals: asyncio.Queue[float]) -> None:
    """Returns once nothing has arrived for a second: events of the org's own beginning may trail the backlog."""
    while True:
        try:
            await asyncio.wait_for(arrivals.get(), 1.0)
        except TimeoutError:
            return


async def _paced(org: Org, entries: list[str], arrivals: asyncio.Queue[float], count: int) -> list[float]:
    """Milliseconds from before the call that commits to the arrival of its event, one commit at a time."""
    await _quiet(arrivals)
    late: list[float] = []
    started = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / _A_SECOND - time.monotonic()))
        before = time.monotonic()
        change = _update(entries[number % len(entries)], 5_000 + number + started % 1)
        await org.do("/transaction", {"operations": [change]})
        late.append((await _next(arrivals) - before) * 1000)
    return late


@asynccontextmanager
async def _arrivals(bootstrap: str) -> AsyncIterator[asyncio.Queue[float]]:
    """When each change came into sight of a reader of committed records."""
    seen: asyncio.Queue[float] = asyncio.Queue()
    places = kafka.partitions_of(TOPIC.name, TOPIC.partitions)
    consumer = kafka.consumer(KafkaSettings(kafka_bootstrap=bootstrap), fetch_max_wait_ms=100)
    await consumer.start()
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)

    async def follow() -> None:
        async for record in consumer:
            if record.key is not None:  # watermarks have no key
                seen.put_nowait(time.monotonic())

    task = asyncio.create_task(follow(), name="arrivals")
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await consumer.stop()


def _ours(settings: Mapping[str, str]) -> AbstractAsyncContextManager[Worker]:
    ours = {"UMBRA_STREAM_ENABLED": "true", "UMBRA_STREAM_TOPICS": SALESFORCE_TOPIC}
    return worlds.working("services.ingestor", {**settings, **ours})


def _floor(settings: Mapping[str, str]) -> AbstractAsyncContextManager[Worker]:
    return worlds.working("bench.ingest.floor_stream", settings, SALESFORCE_TOPIC, TOPIC.name)
