"""A log that was projected, without a worker's process: what replay and rebuild tests begin with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from services.kernel import valkey
from services.kernel.clock import SYSTEM
from services.kernel.settings import KafkaSettings, ValkeySettings
from services.kernel.tagcache import TagCache
from services.projector import dead_letters
from services.projector.apply import apply
from services.projector.batch import decode_all
from services.projector.dead_letters import DeadLetters
from services.projector.locks import GROUPS
from services.projector.log import LogRecord
from services.projector.replay import reading
from services.projector.replay import run as replays
from services.projector.replay.run import Means, Outcome
from services.projector.replay.spans import Span, Wish
from tests.integration.projector.harness import MAPPING, Bench
from tests.integration.projector.process import Stage

FAST = 1_000_000
"""A rate that holds nothing back."""


@asynccontextmanager
async def means(stage: Stage, *, limit: int = 100) -> AsyncIterator[Means]:
    """What a replay works with, as the command makes it."""
    client = valkey.client(ValkeySettings(valkey_url=stage.valkey), timeout=5.0)
    kafka = KafkaSettings(kafka_bootstrap=stage.kafka)
    try:
        async with dead_letters.to_topic(kafka) as send:
            yield Means(
                kafka=kafka,
                dsn=stage.dsn,
                mapping=MAPPING,
                cache=TagCache(client),
                outlet=DeadLetters(send, limit=limit, clock=SYSTEM).take,
            )
    finally:
        await client.aclose()


async def project(of: Means, bench: Bench, names: Sequence[str] = tuple(GROUPS)) -> None:
    """Apply what is new in the log, as a worker would."""
    async with reading.opened(of.kafka) as reader:
        extents = await reader.extents(names)
        rows = await bench.connection.fetch("SELECT topic, partition, next_offset FROM projection_offset")
        stands = {(row[0], row[1]): row[2] for row in rows}
        reader.begin([Span(place, stands[place], extent.end) for place, extent in extents.items()])
        follows = dict(reader.positions)
        while reader.left:
            chunk = await reader.chunk(500)
            records = []
            for each in chunk.records:
                records.append(LogRecord(each.place, each.offset, follows[each.place], *each_rest(each)))
                follows[each.place] = each.offset + 1
            await apply(bench.link, decode_all(records, MAPPING), mapping=MAPPING, outlet=of.outlet)
            follows.update(chunk.positions)
            await bench.connection.executemany(
                "UPDATE projection_offset SET next_offset = $3 WHERE topic = $1 AND partition = $2",
                [(*place, position) for place, position in chunk.positions.items()],
            )
    await bench.clear_outbox()


def each_rest(record: LogRecord) -> tuple[Any, ...]:
    return record.timestamp_ms, record.key, record.value


async def replay(of: Means, topic: str, *, rate: int = FAST, stop: asyncio.Event | None = None, **wish: Any) -> Outcome:
    wish = wish or {"beginning": True}
    return await replays.run(of, Wish(topic=topic, **wish), rate, lambda done, left: None, stop or asyncio.Event())
