"""Statuses that a read of orders shows and the log never reported: their events were lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from schemas import versions
from schemas.events import OrderStatus, RecordChange
from schemas.join import ALIVE
from schemas.mapping import StatusMapping
from schemas.versions import Version

STATUS = "Status"


class Known(NamedTuple):
    """An order's Status as it is stored, and the version of that field."""

    status: str | None
    version: Version


def statuses(mapping: StatusMapping, read: Iterable[RecordChange], known: Mapping[str, Known]) -> Iterator[OrderStatus]:
    """Only where the read, by its version in the log, is newer than the Status that is known; an order that is not
    known gets none."""
    for change in read:
        stored, status = known.get(change.record_id), change.fields.get(STATUS)
        if stored is None or status is None or change.fields.get(ALIVE) is True:
            continue
        if change.version > stored.version and stored.status != status:
            yield _status(mapping, change, str(status))


def _status(mapping: StatusMapping, change: RecordChange, status: str) -> OrderStatus:
    """Dated by the latest time at which the status may have been set: the record's stamp, or what the read proves."""
    at, terminal = versions.at_ms(change.version), status in mapping.terminal
    if change.system_modstamp is not None:
        at = min(at, versions.millis(change.system_modstamp))
    event_id = f"{change.version}-{change.record_id}"
    return OrderStatus(
        id=event_id,
        order_id=change.record_id,
        status=status,
        terminal=terminal,
        message=mapping.message(status, None),
        occurred_at=versions.moment(at),
        source="salesforce",
        kind="observed",
        version=versions.observed_version(at, terminal, event_id),
    )
