"""The floor of the backfill: parse the same pages and produce the same bytes, with none of what makes it right.

Pages lie on disk and records in memory before the clock starts: csv.reader over each page, one send for each row, one
transaction for each 5,000. Prints the rows per second.
"""

from __future__ import annotations

import asyncio
import csv
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

PER_TRANSACTION = 5_000

Record = tuple[bytes, bytes, list[tuple[str, bytes]]]


async def main(pages: list[Path], topic: str, into: str) -> None:
    """pages: CSV, in their order; topic: where the records lie that they became; into: where to produce them."""
    records = await _read(topic)
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["UMBRA_KAFKA_BOOTSTRAP"], transactional_id="floor", max_batch_size=262_144
    )
    await producer.start()
    try:
        began = time.monotonic()
        count = await _produced(pages, iter(records), producer, into)
        print(count / (time.monotonic() - began))
    finally:
        await producer.stop()


async def _read(topic: str) -> list[Record]:
    places = [TopicPartition(topic, partition) for partition in range(4)]
    consumer = AIOKafkaConsumer(bootstrap_servers=os.environ["UMBRA_KAFKA_BOOTSTRAP"], auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[Record] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for got in (await consumer.getmany(timeout_ms=200)).values():
                found += [(each.key, each.value, list(each.headers)) for each in got if each.key]
        return found
    finally:
        await consumer.stop()


def _rows(pages: list[Path]) -> Iterator[list[str]]:
    for page in pages:
        with page.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            next(rows)
            yield from rows


async def _produced(pages: list[Path], records: Iterator[Record], producer: AIOKafkaProducer, into: str) -> int:
    rows, count = _rows(pages), 0
    while chunk := list(islice(rows, PER_TRANSACTION)):
        await producer.begin_transaction()
        sent = [
            await producer.send(into, value=value, key=key, headers=headers)
            for key, value, headers in islice(records, len(chunk))
        ]
        await asyncio.gather(*sent)
        await producer.commit_transaction()
        count += len(chunk)
    return count


if __name__ == "__main__":
    asyncio.run(main(sorted(Path(sys.argv[1]).iterdir()), *sys.argv[2:]))
