"""The topic that every subject of this benchmark reads: accounts once in full, then many updates of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from schemas import events, ids, topics, versions
from schemas.events import RecordChange
from services.kernel import kafka
from services.kernel.settings import KafkaSettings

TOPIC = topics.ACCOUNT
_ACCOUNTS = 20_000
_PER_WAIT = 5_000
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_STATES = ("eligible", "ineligible", "pending", "not_requested")


async def fill(bootstrap: str, updates: int) -> int:
    """Returns how many records the topic holds, transaction markers left out: there are none."""
    producer = kafka.producer(KafkaSettings(kafka_bootstrap=bootstrap))
    await producer.start()
    try:
        count = 0
        waiting: list[asyncio.Future[object]] = []
        for change in _changes(updates):
            message = events.encode(change, source="/bench", now=_BEGAN)
            partition = kafka.partition_of(change.record_id, TOPIC.partitions)
            waiting.append(
                await producer.send(TOPIC.name, message.value, message.key, partition, headers=message.headers)
            )
            count += 1
            if len(waiting) == _PER_WAIT:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
        return count
    finally:
        await producer.stop()


def _changes(updates: int) -> Iterator[RecordChange]:
    names = [account_id(number) for number in range(_ACCOUNTS)]
    r0 = versions.millis(_BEGAN)
    for number, name in enumerate(names):
        fields = {"IsDeleted": False, "Internet_Eligibility__c": "pending", "Eligibility_Source__c": "import"}
        yield RecordChange(
            kind="snapshot",
            object="Account",
            record_id=name,
            version=versions.read_version(r0 + number, versions.DEFAULT_MARGIN_MS),
            origin="backfill",
            fields={**fields, "Credit_Status__c": "open"},
            covers="all",
        )
    for number in range(updates):
        at = _BEGAN + timedelta(seconds=60 + number // 1_000)
        yield RecordChange(
            kind="update",
            object="Account",
            record_id=names[number * 7_919 % _ACCOUNTS],
            version=versions.event_version(versions.millis(at), 10_000 + number, 1),
            origin="cdc",
            fields={"IsDeleted": False, "Internet_Eligibility__c": f"{_STATES[number % 4]}-{number}"},
            committed_at=at,
            transaction_key=f"{number:036d}",
            sequence=1,
            commit_number=str(10_000 + number),
        )


def account_id(number: int) -> str:
    return ids.parse(f"001{number:012d}")
