"""Transactions on the log. Whatever is not known to be committed is given up with its producer, never sent again.

What aiokafka does not offer as a setting is reached by private names, here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.producer import sender
from aiokafka.producer.message_accumulator import BatchBuilder

from services.ingestor.outgoing import Record
from services.kernel import kafka
from services.kernel.settings import KafkaSettings

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
"""After which the broker aborts an open transaction. While one is open, later commits on its partitions are unseen."""
MOST_BATCH_BYTES = 262_144
"""A transaction of 1,000 records takes half the time of aiokafka's 16 KiB (measured)."""
BACKOFF_SECONDS = 0.001
"""Pause while the markers of the transaction before are being written; aiokafka's own 20 ms would be most of a
commit's time (measured: 25 ms against 4 ms)."""
_START_SECONDS = 30.0
_STOP_SECONDS = 2.0
_LEAVE_SECONDS = 4.0


def id_of(name: str) -> str:
    """Transactional id of a Salesforce topic or a job: the same in every process, so that the last one fences."""
    return f"umbra.ingest.{name}"


class Abandoned(Exception):
    """The transaction is not known to be in the log: throw away all that rested on it and read the position again."""


class Fenced(Abandoned):
    """Another owner has begun: what is in hand is its to write."""


Packed = Mapping[tuple[str, int], Sequence[BatchBuilder]]
"""Batches by topic and partition, in their order, made by `Transactions.batch`."""


class Transactions:
    """One life of one transactional id. After an Abandoned it is of no more use."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    def batch(self) -> BatchBuilder:
        """An empty batch, to be filled ahead of its transaction: much cheaper than records one by one."""
        return self._producer.create_batch()

    async def commit(self, records: Sequence[Record], packed: Packed | None = None) -> list[int]:
        """Write all records, or none; returns their offsets. What is packed lies before them on its partition.

        When cancelled, a commit under way has a few seconds to end.
        """
        task = asyncio.create_task(self._commit(records, packed or {}), name="commit")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=_LEAVE_SECONDS)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Abandoned):
                await task
            raise

    async def _commit(self, records: Sequence[Record], packed: Packed) -> list[int]:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._write(records, packed)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise Fenced(type(error).__name__) from error
        except (KafkaError, TimeoutError) as error:
            raise Abandoned(f"{type(error).__name__}: {error}") from error

    async def _write(self, records: Sequence[Record], packed: Packed) -> list[int]:
        producer = self._producer
        await producer.begin_transaction()
        await asyncio.gather(*(self._send(*place, batches) for place, batches in packed.items()))
        sent = [
            await producer.send(
                record.topic,
                value=record.message.value,
                key=record.message.key,
                partition=record.partition,
                headers=record.message.headers,
            )
            for record in records
        ]
        # Each one's own acknowledgement: a commit after a record that failed would be a commit without it.
        written = await asyncio.gather(*sent)
        await producer.commit_transaction()
        return [each.offset for each in written]

    async def _send(self, topic: str, partition: int, batches: Sequence[BatchBuilder]) -> None:
        """One partition's batches, each acknowledged."""
        sent = [await self._producer.send_batch(batch, topic, partition=partition) for batch in batches]
        await asyncio.gather(*sent)


@asynccontextmanager
async def opened(settings: KafkaSettings, transactional_id: str) -> AsyncIterator[Transactions]:
    """Fence whoever holds the id, finish or abort what it left open, and hold it. Raises Abandoned."""
    sender.BACKOFF_OVERRIDE = BACKOFF_SECONDS
    producer = kafka.producer(
        settings,
        transactional_id=transactional_id,
        transaction_timeout_ms=int(TIMEOUT_SECONDS * 1000),
        max_batch_size=MOST_BATCH_BYTES,
    )
    try:
        await _start(producer)
        yield Transactions(producer)
    finally:
        await _stop(producer)


async def _start(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            await producer.start()
    except (KafkaError, TimeoutError) as error:
        raise Abandoned(f"no transactions: {type(error).__name__}: {error}") from error


async def _stop(producer: AIOKafkaProducer) -> None:
    """An open transaction is left to the next owner's start, or to its own time-out."""
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await producer.stop()
    except (KafkaError, TimeoutError) as error:
        log.warning("producer did not stop cleanly", extra={"action": "producer_stop", "why": type(error).__name__})
        producer._sender.sender_task.cancel()
        await producer.client.close()
