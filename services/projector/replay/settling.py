"""Takes batches of the log through every failure that passes; one that Postgres refuses is halved.

As the workers do it (`work.py`), without their sessions: nobody takes partitions away from a run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import asyncpg

from services.kernel import postgres
from services.kernel.errors import Retryable
from services.kernel.retry import Backoff
from services.projector.batch import Decoded
from services.projector.link import Link
from services.projector.log import LogRecord, Place
from services.projector.work import is_data_error, name_of

log = logging.getLogger(__name__)


class Step(NamedTuple):
    """Records of some partitions, from their positions `before` to `after`."""

    decoded: Sequence[Decoded]
    before: Mapping[Place, int]
    after: Mapping[Place, int]

    @property
    def last(self) -> dict[Place, LogRecord]:
        return {each.record.place: each.record for each in self.decoded}

    def halves(self) -> tuple[Step, Step]:
        middle = len(self.decoded) // 2
        first, second = self.decoded[:middle], self.decoded[middle:]
        between = {each.record.place: each.record.offset + 1 for each in first}
        begun = {place: self.before[place] for place in between}
        return Step(first, begun, between), Step(second, {**self.before, **between}, self.after)


Attempt = Callable[[Link, Step], Awaitable[None]]


class Settler:
    """Owned by one task. `open` connects; `attempt` does a step in one transaction, and may be called again for it."""

    def __init__(self, open_link: Callable[[], Awaitable[Link]], attempt: Attempt) -> None:
        self._open = open_link
        self._attempt = attempt
        self._link: Link | None = None

    async def link(self) -> Link:
        """The connection, opened anew where it broke."""
        if self._link is None or self._link.closed:
            self._link = await self._open()
        return self._link

    def close(self) -> None:
        if self._link is not None:
            self._link.connection.terminate()
            self._link = None

    async def settle(self, step: Step) -> None:
        """Do a step, however long Postgres is away. Raises what no retry heals."""
        backoff = Backoff(first=0.05, longest=2.0)
        while True:
            try:
                await self._attempt(await self.link(), step)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, Retryable) as error:
                if is_data_error(error):
                    await self._isolate(step, error)
                    return
                await self._wait(error, backoff)
                continue
            return

    async def _isolate(self, step: Step, error: Exception) -> None:
        if len(step.decoded) == 1:
            alone = Decoded(step.decoded[0].record, None, "apply", name_of(error))
            await self.settle(step._replace(decoded=[alone]))
            return
        for half in step.halves():
            await self.settle(half)

    async def _wait(self, error: Exception, backoff: Backoff) -> None:
        if not (isinstance(error, Retryable) or postgres.is_transient(error)):
            raise error
        if backoff.tries == 0:
            log.warning("the batch waits", extra={"action": "hold", "error": type(error).__name__})
        self.close()
        await asyncio.sleep(backoff.next())
