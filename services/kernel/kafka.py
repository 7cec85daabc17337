"""Kafka clients with the settings that Umbra relies on; nothing is created at import.

Every consumer reads committed records only; every producer is idempotent and waits for all replicas.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.partitioner import murmur2
from aiokafka.structs import TopicPartition

from services.kernel.settings import KafkaSettings

MAX_BATCH_BYTES = 262_144
"""The default of 16 KiB halves the rate of a transaction of 1,000 records (measured)."""


def producer(settings: KafkaSettings, **options: Any) -> AIOKafkaProducer:
    """An idempotent producer; pass `transactional_id` and `transaction_timeout_ms` for a transactional one."""
    defaults: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "acks": "all",
        "enable_idempotence": True,
        "max_batch_size": MAX_BATCH_BYTES,
        "request_timeout_ms": 10_000,
    }
    return AIOKafkaProducer(**(defaults | options))


def consumer(settings: KafkaSettings, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """A read_committed consumer that commits nothing by itself and starts at the log's beginning."""
    defaults: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": 500,
    }
    return AIOKafkaConsumer(*topics, **(defaults | options))


@asynccontextmanager
async def admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap, request_timeout_ms=15_000)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


def partition_of(key: str, partitions: int) -> int:
    """Partition that the default (murmur2) partitioner gives a key."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % partitions)


def key_hash(key: bytes | None) -> int:
    """Hash of a record's key as `projection_offset` keeps it; 0 for a record without one."""
    return 0 if key is None else int(murmur2(key) & 0x7FFFFFFF)


def partitions_of(topic: str, count: int) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for partition in range(count)]
