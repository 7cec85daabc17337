"""A reader of the log of its own: no group, no commit, committed records only, from one offset to another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from schemas import topics
from services.kernel import kafka
from services.kernel.settings import KafkaSettings
from services.projector.engine.guard import Extent
from services.projector.log import LogRecord, Place
from services.projector.replay.spans import Refused, Span, trimmed

_POLL_MS = 500


class Chunk(NamedTuple):
    """Some records in the order of their partitions, and where the reader stands after them."""

    records: list[LogRecord]
    positions: dict[Place, int]


@dataclass(slots=True)
class LogReader:
    """Reads the spans that it is given, side by side. Its methods raise Refused where retention was faster."""

    consumer: Any
    _ends: dict[Place, int] = field(default_factory=dict)
    _positions: dict[Place, int] = field(default_factory=dict)

    async def extents(self, of: Iterable[str]) -> dict[Place, Extent]:
        """What the log holds of all partitions of some topics."""
        wanted = [each for name in of for each in kafka.partitions_of(name, topics.BY_NAME[name].partitions)]
        starts = await self.consumer.beginning_offsets(wanted)
        ends = await self.consumer.end_offsets(wanted)
        return {_place(each): Extent(starts[each], ends[each]) for each in wanted}

    async def at(self, times: Mapping[Place, int]) -> dict[Place, int | None]:
        """The first offset of each partition that is at or after a time in epoch ms; None where nothing is."""
        if not times:
            return {}
        found = await self.consumer.offsets_for_times({TopicPartition(*place): ms for place, ms in times.items()})
        return {_place(each): None if at is None else at.offset for each, at in found.items()}

    def begin(self, spans: Iterable[Span]) -> None:
        """Read these from here on, and nothing else."""
        self._ends = {span.place: span.end for span in spans if span.begin < span.end}
        self._positions = {span.place: span.begin for span in spans if span.begin < span.end}
        self.consumer.assign([TopicPartition(*place) for place in self._ends])
        for place, offset in self._positions.items():
            self.consumer.seek(TopicPartition(*place), offset)

    @property
    def positions(self) -> Mapping[Place, int]:
        """Where it stands in what it reads now."""
        return self._positions

    @property
    def left(self) -> int:
        return sum(end - self._positions[place] for place, end in self._ends.items())

    async def chunk(self, most: int) -> Chunk:
        """Up to `most` records; none where the log gives none within half a second."""
        active = [TopicPartition(*place) for place, end in self._ends.items() if self._positions[place] < end]
        try:
            found = await self.consumer.getmany(*active, timeout_ms=_POLL_MS, max_records=most) if active else {}
        except OffsetOutOfRangeError as error:
            raise await self._overtaken(active) from error
        records = [record for each in active for record in self._records(each, found.get(each, ()))]
        moved: dict[Place, int] = {}
        for each in active:
            place = _place(each)
            position = min(await self.consumer.position(each), self._ends[place])
            if position != self._positions[place]:
                moved[place] = self._positions[place] = position
            if position >= self._ends[place]:
                self.consumer.pause(each)
        return Chunk(records, moved)

    def _records(self, partition: TopicPartition, found: Iterable[Any]) -> Iterable[LogRecord]:
        place = _place(partition)
        for each in found:
            if each.offset < self._ends[place]:
                yield LogRecord(place, each.offset, each.offset, each.timestamp or 0, each.key, each.value)

    async def _overtaken(self, active: Iterable[TopicPartition]) -> Refused:
        starts = await self.consumer.beginning_offsets(list(active))
        for each, start in starts.items():
            if self._positions[_place(each)] < start:
                return Refused("while it was read, " + trimmed(_place(each), self._positions[_place(each)], start))
        return Refused("the log is not the one that was planned for; plan again")


@asynccontextmanager
async def opened(settings: KafkaSettings) -> AsyncIterator[LogReader]:
    """Raises Refused while no broker answers."""
    consumer = kafka.consumer(
        settings, group_id=None, auto_offset_reset="none", fetch_max_wait_ms=100, max_partition_fetch_bytes=262_144
    )
    try:
        await consumer.start()
    except KafkaError as error:
        await consumer.stop()
        raise Refused(f"no Kafka answers at {settings.bootstrap}") from error
    try:
        yield LogReader(consumer)
    finally:
        await consumer.stop()


def _place(partition: TopicPartition) -> Place:
    return Place(partition.topic, partition.partition)
