"""Where a job that reads by Bulk stands, as its checkpoint keeps it: the Bulk job, the page, the rows of that page in
the log. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import Any, Literal

from schemas.events import Checkpoint
from schemas.mapping import ObjectMapping

State = Literal["running", "read", "complete", "void"]
"""read: every row is in the log and counted, what is gone is still to be found. void: the Bulk job came to nothing
(Salesforce failed or forgot it) and the next run starts another."""
UNFINISHED: tuple[State, ...] = ("running", "read")


def job_name(object_name: str) -> str:
    """Key of a backfill's checkpoints, and the token that resumes it."""
    return f"backfill:{object_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """locator: of the page under way, None for the first; before: rows of the job on pages before it
    done: rows of the page that are in the log; least, after: what SOQL counted before the job and after it
    closes: ids of holes that the job closes whatever the database says
    margin_ms: M of every row of the job, whoever goes on with it; selected: what its rows hold (`selection`)
    since_ms, updated_ms: where a delta's window starts, and up to when `updated` covered it; None for a full read
    """

    job_id: str
    r0_ms: int
    margin_ms: int
    selected: str
    least: int
    after: int = 0
    closes: tuple[str, ...] = ()
    locator: str | None = None
    before: int = 0
    done: int = 0
    state: State = "running"
    since_ms: int | None = None
    updated_ms: int | None = None

    @property
    def rows(self) -> int:
        """Rows of the job that are in the log."""
        return self.before + self.done

    def checkpoint(self, name: str, now: datetime, more: dict[str, Any] | None = None) -> Checkpoint:
        """more: what else the job of this name keeps."""
        kept: dict[str, Any] = {
            "state": self.state,
            "r0_ms": self.r0_ms,
            "read_margin_ms": self.margin_ms,
            "selected": self.selected,
            "least": self.least,
            "after": self.after,
            "closes": list(self.closes),
            "before": self.before,
            "done": self.done,
        }
        if self.since_ms is not None:
            kept |= {"since_ms": self.since_ms, "updated_ms": self.updated_ms}
        return Checkpoint(name=name, written_at=now, job_id=self.job_id, locator=self.locator, job=kept | (more or {}))

    def with_after(self, total: int) -> Resume:
        return replace(self, after=total)

    def ended(self, state: State) -> Resume:
        return replace(self, state=state)


def selection(mapping: ObjectMapping) -> str:
    """Tells one mapping's columns and types from another's: a job's rows are of one mapping from first to last."""
    columns = [*mapping.select, *(f"{name}:{field.type}" for name, field in mapping.fields.items())]
    return blake2b("\n".join(columns).encode(), digest_size=8).hexdigest()


def of(checkpoint: Checkpoint | None) -> Resume | None:
    """What to go on with; None where nothing is under way, or the margin of its rows is not known."""
    if checkpoint is None or checkpoint.job_id is None or checkpoint.job.get("state") not in UNFINISHED:
        return None
    kept = checkpoint.job
    if "read_margin_ms" not in kept:
        return None
    return Resume(
        job_id=checkpoint.job_id,
        r0_ms=int(kept["r0_ms"]),
        margin_ms=int(kept["read_margin_ms"]),
        selected=str(kept.get("selected", "")),
        least=int(kept["least"]),
        after=int(kept.get("after", 0)),
        closes=tuple(kept["closes"]),
        locator=checkpoint.locator,
        before=int(kept["before"]),
        done=int(kept["done"]),
        state=kept["state"],
        since_ms=kept.get("since_ms"),
        updated_ms=kept.get("updated_ms"),
    )
