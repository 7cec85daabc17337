"""Records as the log gives them: bytes with their place, and what Kafka's own answer left out before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of the log.

    follows: no readable record lies between this offset and `offset`: they are equal, or Kafka's answer skipped
        transaction markers, aborted records or compacted ones
    timestamp_ms: when it was written, by the producer's clock
    """

    place: Place
    offset: int
    follows: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


class Hole(Exception):
    """A record lies further ahead than Kafka skipped: something between was lost inside this process."""


def stale(next_offset: int, records: Sequence[LogRecord]) -> int:
    """How many of one partition's records, in order, are applied already.

    Raises Hole where one does not connect to `next_offset` or to the record before it.
    """
    applied = 0
    for record in records:
        if record.offset < next_offset:
            applied += 1
            continue
        if record.follows > next_offset:
            topic, partition = record.place
            raise Hole(f"{topic}/{partition}: {next_offset} is due, {record.offset} follows {record.follows}")
        next_offset = record.offset + 1
    return applied
