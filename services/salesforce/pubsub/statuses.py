"""Order statuses from the two events that report one: the order's own change event and the platform event. Pure.

Both may report the same occurrence. A change event's time is its commit, cut to the second by Salesforce, so the
platform event's time is cut likewise: it then never stands above the change event of the same transaction, whose
commit number alone knows the order of two changes within one second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from schemas import ids, versions
from schemas.events import OrderStatus, RecordChange
from schemas.mapping import StatusMapping
from services.salesforce.canonical import scalar_from_avro
from services.salesforce.pubsub.avro import Event, Undecodable

ORDER = "Order"
_STATUS, _ACCOUNT = "Status", "AccountId"


def from_changes(changes: Iterable[RecordChange], mapping: StatusMapping) -> Iterator[OrderStatus]:
    """One for every change of an order that carries a Status: any CREATE or UNDELETE, an UPDATE that changed it."""
    for change in changes:
        status = change.fields.get(_STATUS) if change.object == ORDER else None
        if status is not None and change.committed_at is not None:
            yield _of_change(change, str(status), mapping)


def _of_change(change: RecordChange, status: str, mapping: StatusMapping) -> OrderStatus:
    event_id = _event_id(change.replay_id, change.record_id)
    terminal = status in mapping.terminal
    return OrderStatus(
        id=event_id,
        order_id=change.record_id,
        account_id=change.fields.get(_ACCOUNT),
        status=status,
        terminal=terminal,
        message=mapping.message(status, None),
        occurred_at=versions.moment(versions.at_ms(change.version)),
        source="salesforce",
        version=versions.status_version(
            versions.at_ms(change.version),
            "salesforce",
            int(change.commit_number or 0),
            change.sequence or 0,
            terminal,
            event_id,
        ),
    )


def from_platform_event(event: Event, mapping: StatusMapping, replay_id: str) -> OrderStatus:
    """The status that a platform event reports. Raises Undecodable where it names no order or no status."""
    try:
        return _of_platform_event(event, mapping, replay_id)
    except ValueError as error:
        raise Undecodable(str(error)) from error


def created_ms(event: Event) -> int:
    """When a platform event was published, in epoch ms. Raises Undecodable for an event of another kind."""
    created = event.get("CreatedDate")
    if not isinstance(created, int):
        raise Undecodable("the event has no CreatedDate")
    return created


def _of_platform_event(event: Event, mapping: StatusMapping, replay_id: str) -> OrderStatus:
    order_id = ids.parse(_text(event, mapping, "order_id") or "")
    account = _text(event, mapping, "account_id")
    status, reason = _text(event, mapping, "status"), _text(event, mapping, "reason")
    if status is None:
        raise ValueError("the event carries no status")
    occurred, rest = _second(event, mapping)
    event_id, terminal = _event_id(replay_id, order_id), status in mapping.terminal
    return OrderStatus(
        id=event_id,
        order_id=order_id,
        account_id=ids.parse(account) if account else None,
        status=status,
        terminal=terminal,
        reason=reason,
        message=mapping.message(status, reason),
        occurred_at=versions.moment(occurred),
        source="salesforce",
        version=versions.status_version(occurred, "salesforce", 0, rest, terminal, event_id),
    )


def _second(event: Event, mapping: StatusMapping) -> tuple[int, int]:
    """Start of the second of the occurrence in epoch ms, and the milliseconds beyond it.

    The rest goes where a change event has its sequence: it orders platform events among themselves.
    """
    field = mapping.event.get("occurred_at")
    occurred = event.get(field) if field else None
    if occurred is None:
        occurred = created_ms(event)
    if not isinstance(occurred, int):
        raise ValueError(f"{field} is no time")
    return occurred // 1000 * 1000, occurred % 1000


def _text(event: Event, mapping: StatusMapping, what: str) -> str | None:
    field = mapping.event.get(what)
    value: Any = scalar_from_avro("text", event.get(field)) if field else None
    return value if value is None else str(value)


def _event_id(replay_id: str | None, record_id: str) -> str:
    return f"{replay_id}-{record_id}"
