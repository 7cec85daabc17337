"""Where a backfill stands, as its checkpoint keeps it: the job, the page, the rows of that page in the log. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from schemas.events import Checkpoint

State = Literal["running", "complete", "void"]
"""void: the job came to nothing (Salesforce failed or forgot it) and the next run starts another."""


def job_name(object_name: str) -> str:
    """Key of a backfill's checkpoints, and the token that resumes it."""
    return f"backfill:{object_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """locator: of the page under way, None for the first; before: rows of the job on pages before it
    done: rows of the page that are in the log; least: what SOQL counted before the job began
    closes: ids of holes that the job closes whatever the database says
    """

    job_id: str
    r0_ms: int
    least: int
    closes: tuple[str, ...] = ()
    locator: str | None = None
    before: int = 0
    done: int = 0
    state: State = "running"

    @property
    def rows(self) -> int:
        """Rows of the job that are in the log."""
        return self.before + self.done

    def checkpoint(self, object_name: str, now: datetime) -> Checkpoint:
        kept: dict[str, Any] = {
            "state": self.state,
            "r0_ms": self.r0_ms,
            "least": self.least,
            "closes": list(self.closes),
            "before": self.before,
            "done": self.done,
        }
        return Checkpoint(
            name=job_name(object_name), written_at=now, job_id=self.job_id, locator=self.locator, job=kept
        )

    def ended(self, state: State) -> Resume:
        return replace(self, state=state)


def of(checkpoint: Checkpoint | None) -> Resume | None:
    """What to go on with; None where nothing is under way."""
    if checkpoint is None or checkpoint.job_id is None or checkpoint.job.get("state") != "running":
        return None
    kept = checkpoint.job
    return Resume(
        job_id=checkpoint.job_id,
        r0_ms=int(kept["r0_ms"]),
        least=int(kept["least"]),
        closes=tuple(kept["closes"]),
        locator=checkpoint.locator,
        before=int(kept["before"]),
        done=int(kept["done"]),
    )
