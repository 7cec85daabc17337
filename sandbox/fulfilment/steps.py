"""What to do with an order, decided from what Salesforce says of it: pure, and the same after any restart."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

LINE_UNAVAILABLE = "LINE_UNAVAILABLE"
_NAMESPACE = uuid.UUID("5f1d6f0e-6f5c-4a53-9d0b-0c2a3f1c7b5e")


@dataclass(frozen=True, slots=True)
class Step:
    """A status to reach, with the reason it is reported with."""

    status: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OrderState:
    """An order as Salesforce has it now."""

    status: str
    created_at: datetime


ACTIVATING = Step("Activating")


def ahead(order_id: str, state: OrderState, *, since: datetime | None, fail_every: int) -> Iterator[Step]:
    """The steps still ahead of an order.

    None for an order made before `since`, and none for one that is past them: somebody else moved it on, or an
    earlier run of this program did. In "Activating" an earlier run stopped half way; reporting it again is harmless.
    """
    if since is not None and state.created_at < since:
        return
    if state.status not in ("Draft", ACTIVATING.status):
        return
    yield ACTIVATING
    yield last(order_id, fail_every)


def last(order_id: str, fail_every: int) -> Step:
    """The order's end, drawn from its id: one in `fail_every` finds no line, the same one after a restart."""
    drawn = int.from_bytes(hashlib.sha256(order_id.encode()).digest()[:8])
    fails = fail_every > 0 and drawn % fail_every == 0
    return Step("Failed", LINE_UNAVAILABLE) if fails else Step("Activated")


def before(step: Step) -> tuple[str, ...]:
    """Statuses from which the step may be taken; in any other the order is no longer ours to move."""
    return ("Draft", ACTIVATING.status) if step == ACTIVATING else (ACTIVATING.status, step.status)


def key(order_id: str, step: Step) -> str:
    """The step's Idempotency-Key: reported twice, it counts once."""
    return str(uuid.uuid5(_NAMESPACE, f"{order_id}/{step.status}"))
