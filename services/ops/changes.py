"""One change on its way: when it was committed, written, applied, told to the caches and sent. Pure.

Times are epoch milliseconds: the commit by the org's clock, the log by its writer's, the rest by this machine's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas import versions
from schemas.events import OrderStatus, RecordChange, stamp
from services.projector.log import Place

SLACK_MS = 50
"""Caches are told right after the commit, which may be heard before the row was looked for."""
QUIET_MS = 500
"""With nothing waiting in the outbox for so long, nothing had to be told: the row stayed as it was."""


@dataclass(slots=True)
class Change:
    """What is known so far. Stages that have not been seen, or do not come, are None.

    commit_ms: None of what a read has found
    tags: by which its telling is recognised; none where no row shows it
    awaited: whether a stream is open that should show it
    heard: what the caches were told since it was written, and when
    """

    place: Place
    offset: int
    name: str
    record_id: str
    kind: str
    commit_ms: int | None
    log_ms: int
    version: str
    tags: set[str] = field(default_factory=set)
    awaited: bool = False
    row_ms: int | None = None
    told_ms: int | None = None
    socket_ms: int | None = None
    quiet: bool = False
    heard: list[tuple[int, frozenset[str]]] = field(default_factory=list)

    def told(self, at_ms: int, tags: frozenset[str]) -> None:
        if at_ms >= self.log_ms - SLACK_MS:
            self.heard.append((at_ms, tags))

    def settle(self, *, untold: bool, now_ms: int) -> None:
        """Find its telling among what was heard. untold: tags of it still wait in the outbox."""
        if self.row_ms is None or self.told_ms is not None:
            return
        own = [at for at, tags in self.heard if tags & self.tags]
        after = [at for at in own if at >= self.row_ms - SLACK_MS]
        if after:
            self.told_ms = after[0]
        elif not untold and own:
            # Told before this machine had looked for the row: the row was there no later.
            self.told_ms = self.row_ms = own[-1]
        elif not untold and (not self.tags or now_ms - self.row_ms > QUIET_MS):
            self.quiet = True

    @property
    def done(self) -> bool:
        """Every stage is seen, or known not to come."""
        if self.row_ms is None or (self.awaited and self.socket_ms is None):
            return False
        return self.told_ms is not None or self.quiet

    @property
    def began_ms(self) -> int:
        return self.log_ms if self.commit_ms is None else self.commit_ms

    def after(self) -> dict[str, int | None]:
        """Milliseconds from the commit, or from the log where nothing was committed, to each stage."""
        stages = {"log": self.log_ms, "row": self.row_ms, "told": self.told_ms, "socket": self.socket_ms}
        return {name: None if at is None else at - self.began_ms for name, at in stages.items()}

    def document(self) -> dict[str, Any]:
        return {
            "object": self.name,
            "id": self.record_id,
            "kind": self.kind,
            "trace": f"{self.place.topic}:{self.place.partition}:{self.offset}",
            "committed_at": None if self.commit_ms is None else stamp(versions.moment(self.commit_ms)),
            "written_at": stamp(versions.moment(self.log_ms)),
            "milliseconds": self.after(),
        }

    def line(self) -> str:
        begin = "commit" if self.commit_ms is not None else "read"
        stages = " → ".join(f"{name} {'-' if ms is None else ms}" for name, ms in self.after().items())
        at = stamp(versions.moment(self.began_ms))
        return f"{at}  {self.name:<14} {self.record_id}  {self.kind:<10}  {begin} → {stages}  ms"


def of(place: Place, offset: int, written_ms: int, event: RecordChange | OrderStatus) -> Change:
    if isinstance(event, OrderStatus):
        happened = versions.millis(event.occurred_at) if event.kind == "reported" else None
        return Change(place, offset, "Order", event.order_id, event.status, happened, written_ms, event.version)
    committed = None if event.committed_at is None else versions.millis(event.committed_at)
    return Change(place, offset, event.object, event.record_id, event.kind, committed, written_ms, event.version)
