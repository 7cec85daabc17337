"""What is known of the statuses of one order: again a join, so their order of arrival decides nothing.

The greatest version is shown. A change equal in content (the same status, its reason equal or absent) keeps
the known reason, also when the one with the reason comes late; so for each status the newest version and the
newest reason are kept, and a reason counts while no other status lies between.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from schemas.events import OrderStatus
from schemas.versions import StatusVersion


class Last(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Of one status of one order: its newest version; the newest version with a reason, and that reason."""

    version: StatusVersion
    reasoned: StatusVersion | None = None
    reason: str | None = None


class Top(msgspec.Struct, frozen=True, gc=False):
    """The event with the greatest version."""

    version: StatusVersion
    status: str
    terminal: bool
    source: str
    event_id: str
    occurred_at: datetime


class Shown(NamedTuple):
    version: StatusVersion
    status: str
    reason: str | None


class Statuses(msgspec.Struct, frozen=True, gc=False):
    """account_id: the owner, where an event carried it."""

    top: Top
    seen: Mapping[str, Last]
    account_id: str | None = None

    def shown(self) -> Shown:
        last = self.seen[self.top.status]
        others = max((each.version for status, each in self.seen.items() if status != self.top.status), default="")
        known = last.reasoned is not None and last.reasoned > others
        return Shown(self.top.version, self.top.status, last.reason if known else None)


def of_event(event: OrderStatus) -> Statuses:
    top = Top(event.version, event.status, event.terminal, event.source, event.id, event.occurred_at)
    last = Last(event.version, None if event.reason is None else event.version, event.reason)
    return Statuses(top, {event.status: last}, event.account_id)


def join(left: Statuses, right: Statuses) -> Statuses:
    """Associative, commutative, idempotent."""
    seen = dict(left.seen)
    for status, last in right.seen.items():
        known = seen.get(status)
        seen[status] = last if known is None else _join_last(known, last)
    top = left.top if left.top.version >= right.top.version else right.top
    owners = [owner for owner in (left.account_id, right.account_id) if owner is not None]
    return Statuses(top, seen, max(owners, default=None))


def _join_last(left: Last, right: Last) -> Last:
    reasoned = left if (left.reasoned or "") >= (right.reasoned or "") else right
    return Last(max(left.version, right.version), reasoned.reasoned, reasoned.reason)
