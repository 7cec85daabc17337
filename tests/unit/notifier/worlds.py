"""Orders, statuses and entries for the notifier's unit tests."""

from __future__ import annotations

from schemas import events, ids
from schemas.events import OrderStatus
from schemas.versions import Source, StatusVersion, moment, status_version
from services.notifier import sse
from services.notifier.content import Content
from services.notifier.ring import Entry, Ring, fingerprint
from services.notifier.verdict import Snapshot, State

ACCOUNT = ids.parse("001000000000001")
OTHER_ACCOUNT = ids.parse("001000000000002")
ORDER = ids.parse("801000000000001")
OTHER_ORDER = ids.parse("801000000000002")
KEYS = ("a" * 40,)
TERMINAL = frozenset({"Completed", "Failed"})
AT = 1_793_000_000_000


def version(at: int, source: Source = "salesforce", status: str = "Draft", event_id: str = "e") -> StatusVersion:
    return status_version(AT + at, source, 0, 0, status in TERMINAL, event_id)


def status_at(
    offset: int,
    at: int,
    status: str = "Draft",
    *,
    order_id: str = ORDER,
    reason: str | None = None,
    account_id: str | None = ACCOUNT,
) -> OrderStatus:
    event_id = f"{order_id}-{offset}-{at}"
    return OrderStatus(
        id=event_id,
        order_id=order_id,
        account_id=account_id,
        status=status,
        reason=reason,
        terminal=status in TERMINAL,
        occurred_at=moment(AT + at),
        source="salesforce",
        version=version(at, status=status, event_id=event_id),
    )


def entry(offset: int, status: OrderStatus, partition: int = 0) -> Entry:
    return Entry(
        partition=partition,
        offset=offset,
        order_id=status.order_id,
        version=status.version,
        content=Content.of(status.status, status.reason),
        terminal=status.terminal,
        account_id=status.account_id,
        fp=fingerprint(status.id),
        data=sse.encode(events.order_update(status)),
        at_ms=0,
    )


def state(status: OrderStatus) -> State:
    made = entry(0, status)
    return State(made.version, made.content, made.terminal, made.data)


def snapshot(status: OrderStatus | None, next_offset: int) -> Snapshot:
    return Snapshot(None if status is None else state(status), ACCOUNT, next_offset)


def ring(entries: list[Entry], *, base: int = 0, pos: int | None = None, most_bytes: int = 10**9) -> Ring:
    made = Ring(base, most_bytes)
    for each in entries:
        made.append(each)
    made.advance(made.pos if pos is None else pos)
    return made
