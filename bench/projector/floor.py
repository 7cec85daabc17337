"""The floor: the same read, join and two writes for each batch, in one transaction with the offsets, and nothing else.

No group, no Faust, no checks, no cache tags, no verdicts, no metrics; one batch after the other.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from schemas import events, topics, versions
from schemas.events import RecordChange
from schemas.join import EMPTY, State, join, moves, state_of

_READ = (
    "SELECT record_id, payload::text, base, newer::text, dirty FROM sf_record WHERE object = $1 AND record_id = ANY($2)"
)
_STATE = """
INSERT INTO sf_record (object, record_id, payload, base, newer, dirty)
SELECT $1, i, p::jsonb, b, n::jsonb, d FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
  AS new (i, p, b, n, d)
ON CONFLICT (object, record_id) DO UPDATE SET payload = EXCLUDED.payload, base = EXCLUDED.base,
  newer = EXCLUDED.newer, dirty = EXCLUDED.dirty, changed_at = now()
"""
_SHADOW = """
INSERT INTO sf_account_eligibility_shadow
  (account_id, internet_eligibility, eligibility_source, updated_at, raw_payload)
SELECT i, e, s, t, p::jsonb FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[])
  AS new (i, e, s, t, p)
ON CONFLICT (account_id) DO UPDATE SET internet_eligibility = EXCLUDED.internet_eligibility,
  eligibility_source = EXCLUDED.eligibility_source, updated_at = EXCLUDED.updated_at, raw_payload = EXCLUDED.raw_payload
"""
_OFFSETS = """
INSERT INTO projection_offset (topic, partition, epoch, next_offset) SELECT $1, p, '', o
FROM unnest($2::int[], $3::bigint[]) AS new (p, o)
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset
"""
_ENCODE = msgspec.json.Encoder().encode
_DECODE = msgspec.json.Decoder(dict[str, Any]).decode


class Floor:
    def __init__(self, connection: asyncpg.Connection, statements: dict[str, Any]) -> None:
        self._connection = connection
        self._run = statements

    async def batch(self, records: list[Any]) -> None:
        new: dict[str, State] = {}
        for record in records:
            change = events.decode_change(record.value)
            if isinstance(change, RecordChange):
                said, known = state_of(change), new.get(change.record_id)
                new[change.record_id] = said if known is None else join(known, said)
        async with self._connection.transaction():
            await self._write(new)
            last = {record.partition: record.offset + 1 for record in records}
            await self._run["offsets"].fetch(topics.ACCOUNT.name, list(last), list(last.values()))

    async def _write(self, new: dict[str, State]) -> None:
        stored = {
            row[0]: State(_DECODE(row[1]), row[2], _DECODE(row[3]), row[4])
            for row in await self._run["read"].fetch("Account", list(new))
        }
        moved = {}
        for name, said in new.items():
            old = stored.get(name, EMPTY)
            if moves(old, said):
                moved[name] = join(old, said)
        if not moved:
            return
        rows = sorted(moved.items())
        names, states = [name for name, _ in rows], [state for _, state in rows]
        texts = [_ENCODE(state.payload).decode() for state in states]
        await self._run["state"].fetch(
            "Account",
            names,
            texts,
            [state.base for state in states],
            [_ENCODE(state.newer).decode() for state in states],
            [state.dirty for state in states],
        )
        await self._run["shadow"].fetch(
            names,
            [state.payload.get("Internet_Eligibility__c") for state in states],
            [state.payload.get("Eligibility_Source__c") for state in states],
            [versions.moment(versions.at_ms(str(state.newest))) for state in states],
            texts,
        )


async def main(batch_records: int) -> None:
    connection = await asyncpg.connect(os.environ["UMBRA_POSTGRES_DSN"])
    named = {"read": _READ, "state": _STATE, "shadow": _SHADOW, "offsets": _OFFSETS}
    floor = Floor(connection, {name: await connection.prepare(sql) for name, sql in named.items()})
    consumer = AIOKafkaConsumer(
        bootstrap_servers=os.environ["UMBRA_KAFKA_BOOTSTRAP"],
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=262_144,
    )
    await consumer.start()
    places = [TopicPartition(topics.ACCOUNT.name, partition) for partition in range(topics.ACCOUNT.partitions)]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    while True:
        got = await consumer.getmany(timeout_ms=200, max_records=batch_records)
        records = [record for found in got.values() for record in found]
        if records:
            await floor.batch(records)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
