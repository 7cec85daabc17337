"""The status topic as this instance holds it: one ring per partition, under one epoch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from schemas import events
from services.notifier import sse
from services.notifier.content import Content
from services.notifier.cursor import Sealer, is_version
from services.notifier.ring import Entry, Ring, fingerprint


class Record(Protocol):
    """A record as a Kafka client gives it."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Log:
    def __init__(self, epoch: str, secrets: Sequence[str], starts: Sequence[int], most_bytes: int) -> None:
        self.epoch = epoch
        self.sealer = Sealer(secrets, epoch, len(starts))
        self.rings = [Ring(start, most_bytes // len(starts)) for start in starts]

    @property
    def bytes(self) -> int:
        return sum(ring.bytes for ring in self.rings)

    def behind(self, ends: Sequence[int]) -> int:
        """Records between these ends and what has been read."""
        return sum(max(0, end - ring.pos) for ring, end in zip(self.rings, ends, strict=True))


def entry_of(record: Record, home: int) -> Entry | None:
    """The record as an entry; None when it is no status, or lies outside its order's home partition.

    A stray would bring offsets of one partition into the streams of another.
    """
    if record.value is None or record.partition != home:
        return None
    try:
        status = events.decode_status(record.value)
    except msgspec.DecodeError:
        return None
    if record.key != status.order_id.encode() or not is_version(status.version):
        return None
    return Entry(
        partition=record.partition,
        offset=record.offset,
        order_id=status.order_id,
        version=status.version,
        content=Content.of(status.status, status.reason),
        terminal=status.terminal,
        account_id=status.account_id,
        fp=fingerprint(status.id),
        data=sse.encode(events.order_update(status)),
        at_ms=record.timestamp,
    )


def beat(now: datetime) -> bytes:
    """A heartbeat's data."""
    return sse.encode({"at": events.stamp(now)})
