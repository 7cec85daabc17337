"""What happens when partitions are assigned: offset rows are claimed, the guard asks, the start is found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from services.kernel import kafka
from services.kernel.errors import Fatal, Retryable
from services.kernel.settings import KafkaSettings
from services.projector.engine import guard
from services.projector.engine.guard import Extent, Seen, Stored
from services.projector.link import statements
from services.projector.log import Place

_SQL = statements("engine.sql")


async def epochs(connection: Any, topics: set[str]) -> dict[str, str]:
    """Epoch of each topic; Fatal names those that `umbra migrate` has not made."""
    known = {row[0]: row[1] for row in await connection.fetch(_SQL["epochs"])}
    missing = sorted(topics - known.keys())
    if missing:
        raise Fatal(f"no epoch for {', '.join(missing)}: run `umbra migrate` first")
    return known


async def claim(connection: Any, extents: Mapping[Place, Extent], lives: Mapping[str, str]) -> list[Stored]:
    """Where Postgres stands. A partition that was never projected begins at the log's start."""
    places = sorted(extents)
    names, partitions = [place.topic for place in places], [place.partition for place in places]
    begin = [extents[place].start for place in places]
    await connection.execute(_SQL["offsets_claim"], names, partitions, [lives[name] for name in names], begin)
    rows = await connection.fetch(_SQL["offsets_read"], names, partitions)
    return [Stored(Place(row[0], row[1]), *row[2:]) for row in rows]


async def untold(connection: Any, places: Iterable[Place]) -> dict[Place, list[int]]:
    """Next offsets of batches whose cache tags were left in the outbox."""
    wanted = sorted(places)
    rows = await connection.fetch(
        _SQL["outbox_waiting"], [place.topic for place in wanted], [place.partition for place in wanted]
    )
    found: dict[Place, list[int]] = {}
    for row in rows:
        found.setdefault(Place(row[0], row[1]), []).append(row[2])
    return found


async def check(
    settings: KafkaSettings, stored: list[Stored], extents: Mapping[Place, Extent], lives: Mapping[str, str]
) -> None:
    """Raise Fatal where going on would skip records or take new ones for old."""
    reasons = [guard.refusal(each, lives[each.place.topic], extents[each.place]) for each in stored]
    refused = [reason for reason in reasons if reason is not None]
    if refused:
        raise guard.refuse(refused)
    remembered = {each.place: each for each in stored if guard.remembers(each, extents[each.place])}
    seen = await last_records(settings, remembered)
    differences = [guard.difference(remembered[place], record) for place, record in seen.items()]
    differing = [reason for reason in differences if reason is not None]
    if differing:
        raise guard.refuse(differing)


async def last_records(settings: KafkaSettings, stored: Mapping[Place, Stored]) -> dict[Place, Seen]:
    """The record at each partition's last applied offset, read apart from the group."""
    if not stored:
        return {}
    reader = kafka.consumer(settings, group_id=None, auto_offset_reset="none", fetch_max_wait_ms=100)
    try:
        await reader.start()
        reader.assign([TopicPartition(*place) for place in stored])
        for place, each in stored.items():
            reader.seek(TopicPartition(*place), each.last_offset)
        async with asyncio.timeout(15):
            return await _first_of_each(reader, set(stored))
    except (TimeoutError, KafkaError) as error:
        raise Retryable("Kafka did not give back the records that were applied last") from error
    finally:
        await reader.stop()


async def _first_of_each(reader: Any, missing: set[Place]) -> dict[Place, Seen]:
    seen: dict[Place, Seen] = {}
    while missing:
        for partition, records in (await reader.getmany(timeout_ms=200)).items():
            place = Place(partition.topic, partition.partition)
            if place in missing and records:
                first = records[0]
                seen[place] = Seen(first.offset, first.timestamp or 0, kafka.key_hash(first.key))
                missing.discard(place)
                reader.pause(partition)
    return seen
