"""A projector that dies or loses a batch where it hurts most: `UMBRA_TEST_ILL=POINT:NTH`, NTH counted in batches.

before-commit, after-commit: SIGKILL by its own hand; swallow: a whole batch is dropped inside the process;
error: what nobody expected is raised.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import Any

from services.kernel import lifecycle
from services.projector.app import run
from services.projector.apply import Applied
from services.projector.batch import Batch, Decoded
from services.projector.link import Link
from services.projector.settings import Settings
from services.projector.work import Prepared, Work

POINT, _, NTH = os.environ.get("UMBRA_TEST_ILL", "none:0").partition(":")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class IllLink(Link):
    """Dies after the last statement of a transaction, before COMMIT is sent."""

    async def rows(self, statement: str, *arguments: object) -> list[Any]:
        found = await super().rows(statement, *arguments)
        if statement == "offsets_move":
            die()
        return found


class IllWork(Work):
    batches = 0

    async def run(self, ready: Prepared) -> None:
        self.batches += 1
        due = self.batches == int(NTH)
        if due and POINT == "swallow":
            return
        if due and POINT == "error":
            raise KeyError("nobody expected this")
        if due and POINT == "before-commit":
            link = await self.open()
            self._link = IllLink(link.connection, link._prepared)
        await super().run(ready)

    async def _attempt(self, decoded: list[Decoded], folded: Batch | None) -> Applied:
        done = await super()._attempt(decoded, folded)
        if POINT == "after-commit" and self.batches == int(NTH):
            die()
        return done


if __name__ == "__main__":
    sys.exit(lifecycle.main("projector", Settings, partial(run, work_class=IllWork)))
