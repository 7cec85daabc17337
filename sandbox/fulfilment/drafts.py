"""New orders as they come in: Drafts of `order.status.v1`, with a place in the log that survives a restart.

The group's offsets never pass an order that is still worked on, so a process that is killed finds it again.
Their metadata keeps when the group first began; older orders are none of its business.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from schemas import events, topics

log = logging.getLogger(__name__)

GROUP = "sandbox.fulfilment"
PARTITIONS = [TopicPartition(topics.ORDER_STATUS.name, number) for number in range(topics.ORDER_STATUS.partitions)]


@dataclass(frozen=True, slots=True)
class Draft:
    order_id: str
    partition: TopicPartition
    offset: int


def consumer(bootstrap: str) -> AIOKafkaConsumer:
    """Partitions are assigned by hand: a restart need not wait for the session of its killed self to run out."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=GROUP,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )


class Drafts:
    """`since`: when the group first began, in whole seconds, as Salesforce keeps an order's CreatedDate."""

    def __init__(self, running: AIOKafkaConsumer, since: datetime) -> None:
        self._consumer = running
        self.since = since
        self._open: dict[TopicPartition, set[int]] = {partition: set() for partition in PARTITIONS}

    @classmethod
    async def begin(cls, running: AIOKafkaConsumer, bootstrap: str, now: datetime, *, everything: bool) -> Drafts:
        """Go on where the group stopped; at its first start, behind everything that is in the log."""
        running.assign(PARTITIONS)
        # A young broker has no coordinator yet; the consumer waits for one, the admin client below does not.
        await running.committed(PARTITIONS[0])
        began = await _began(bootstrap)
        if everything:
            await running.seek_to_beginning(*PARTITIONS)
        elif began is None:
            await running.seek_to_end(*PARTITIONS)
        drafts = cls(running, began or now.replace(microsecond=0))
        await drafts.commit()
        return drafts

    async def __aiter__(self) -> AsyncIterator[Draft]:
        async for record in self._consumer:
            if _is_draft(record.value):
                partition = TopicPartition(record.topic, record.partition)
                self._open[partition].add(record.offset)
                yield Draft(record.key.decode(), partition, record.offset)

    async def done(self, draft: Draft) -> None:
        self._open[draft.partition].discard(draft.offset)
        await self.commit()

    async def commit(self) -> None:
        """Where Kafka is away the next commit says the same and more; until then an order may be looked at twice."""
        metadata = self.since.isoformat()
        places = {each: min(self._open[each], default=await self._consumer.position(each)) for each in PARTITIONS}
        try:
            await self._consumer.commit({each: OffsetAndMetadata(place, metadata) for each, place in places.items()})
        except KafkaError as error:
            log.warning("offsets are not committed: %s", error, extra={"action": "commit_failed"})


def _is_draft(value: bytes) -> bool:
    try:
        status = events.decode_status(value)
    except msgspec.DecodeError:
        # Not ours to judge: the projector puts it where a person sees it.
        return False
    return status.status == "Draft" and status.kind == "reported"


async def _began(bootstrap: str) -> datetime | None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        kept = await admin.list_consumer_group_offsets(GROUP, partitions=PARTITIONS)
    finally:
        await admin.close()
    began = [datetime.fromisoformat(place.metadata) for place in kept.values() if place.offset >= 0 and place.metadata]
    return min(began, default=None) if began else None
