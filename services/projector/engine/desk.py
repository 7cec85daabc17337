"""Between the consumer and the work: what was read comes in, what may be committed goes out. Free of Faust.

A session is the time between two assignments. Whatever was read in an ended session is void: the next one
reads it again from where Postgres stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import asyncpg

from services.kernel import postgres, valkey
from services.kernel.errors import Retryable
from services.kernel.retry import Backoff
from services.kernel.settings import KafkaSettings
from services.projector.engine import guard, standing
from services.projector.engine.guard import Extent, Stored
from services.projector.engine.ledger import Ledger, Standing
from services.projector.link import statements
from services.projector.log import LogRecord, Place
from services.projector.outbox import Teller
from services.projector.work import Prepared, Work

log = logging.getLogger(__name__)

_SQL = statements("engine.sql", "offsets.sql")
_POSTGRES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Reach(NamedTuple):
    """Where the reader stands in a partition after an answer, and how far it could have read."""

    position: int
    end: int


class Answer(NamedTuple):
    """Records of one fetch, by partition, and the reader's place in each partition at that very moment."""

    records: Mapping[Any, list[Any]]
    reach: Mapping[Place, Reach]


class Desk:
    """batch_records: most records in one transaction. Twice as many may wait."""

    def __init__(
        self, *, work: Work, ledger: Ledger, teller: Teller, pool: Any, kafka: KafkaSettings, batch_records: int
    ) -> None:
        self._work = work
        self._ledger = ledger
        self._teller = teller
        self._pool = pool
        self._kafka = kafka
        self._most = batch_records
        # The agent's channel, once the agent runs; nothing is delivered before.
        self._intake: asyncio.Queue[tuple[int, LogRecord]] = asyncio.Queue(maxsize=1)
        self._started = asyncio.Event()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.assignments = 0

    async def assigned(
        self, extents: Mapping[Place, Extent], committed: Mapping[Place, int | None]
    ) -> dict[Place, int]:
        """Where to read each partition from. Raises Fatal where going on would skip something."""
        if not extents:
            self._ledger.assign({})
            self.assignments += 1
            return {}
        stored, untold = await self._stored(extents)
        starts = {each.place: guard.beginning(each, extents[each.place], committed[each.place]) for each in stored}
        self._ledger.assign({each.place: _standing(each, starts, extents, untold) for each in stored})
        await self._tell_what_was_left()
        self.assignments += 1
        log.info("partitions assigned", extra={"action": "assign", "partitions": len(starts)})
        return starts

    async def _stored(self, extents: Mapping[Place, Extent]) -> tuple[list[Stored], dict[Place, list[int]]]:
        """Where Postgres stands, past the guard. The caller sets the time for what is away to come back."""
        backoff = Backoff(first=0.05, longest=2.0)
        while True:
            try:
                async with self._pool.acquire() as connection:
                    lives = await standing.epochs(connection, {place.topic for place in extents})
                    stored = await standing.claim(connection, extents, lives)
                    untold = await standing.untold(connection, extents)
                await standing.check(self._kafka, stored, extents, lives)
                return stored, untold
            except (*_POSTGRES, Retryable) as error:
                if not (isinstance(error, Retryable) or postgres.is_transient(error)):
                    raise
                await asyncio.sleep(backoff.next())

    async def _tell_what_was_left(self) -> None:
        """Once, before anything new is read. With Valkey away the rows stay, and the partition's commit with them."""
        try:
            await self._teller.tell()
        except (*valkey.AWAY, *_POSTGRES):
            self._teller.wake()

    def flow(self, session: int, *, on: bool) -> None:
        """Session `session` flows, or does no more."""
        self._work.session.number = session
        self._work.session.flowing = on
        self._room.set()

    async def room(self) -> None:
        """Wait until more records may be delivered."""
        await self._started.wait()
        while self._intake.qsize() >= self._most and self._work.session.flowing:
            self._room.clear()
            await self._room.wait()

    def deliver(self, session: int, answer: Answer) -> None:
        """Take over an answer. Each record says which offset it follows without a readable one between."""
        for partition, found in answer.records.items():
            place = Place(partition.topic, partition.partition)
            follows = self._ledger.expected(place)
            if follows is None:
                continue
            for each in found:
                if each.offset < follows:
                    raise guard.refuse([f"{place.topic}/{place.partition}: the log went back to {each.offset}"])
                record = LogRecord(place, each.offset, follows, each.timestamp or 0, each.key, each.value)
                self._intake.put_nowait((session, record))
                follows = each.offset + 1
            self._ledger.read(place, follows)
        for place, reach in answer.reach.items():
            self._ledger.reach(place, reach.position, reach.end)

    async def run(self, intake: asyncio.Queue[tuple[int, LogRecord]]) -> None:
        """The body of the agent: apply what comes in through its channel, for ever.

        No waiting for more: what arrives during one transaction is the next batch, and is decoded meanwhile.
        """
        self._intake = intake
        self._started.set()
        ahead: Prepared | None = None
        while True:
            batch = ahead if ahead is not None else await self._prepared(await intake.get())
            self._idle.clear()
            try:
                ahead = await self._apply(batch)
            finally:
                self._idle.set()

    async def _apply(self, batch: Prepared) -> Prepared | None:
        """Apply a batch and prepare the next of what has arrived by now; None where nothing has."""
        applying = asyncio.create_task(self._work.run(batch), name="apply")
        try:
            await asyncio.sleep(0)
            ahead = None if self._intake.empty() else await self._prepared(self._intake.get_nowait())
            await applying
        finally:
            if not applying.done():
                applying.cancel()
                await asyncio.wait({applying})
        return ahead

    async def _prepared(self, first: tuple[int, LogRecord]) -> Prepared:
        taken = deque([first])
        while len(taken) < self._most and not self._intake.empty():
            taken.append(self._intake.get_nowait())
        self._room.set()
        session = self._work.session.number
        return await self._work.prepare(session, [record for number, record in taken if number == session])

    async def committable(self) -> dict[Place, int]:
        """What Kafka may be told. Markers at the end of a partition are stepped over in Postgres first."""
        over = sorted(self._ledger.over_markers().items())
        if over:
            await self._step_over(over)
        return self._ledger.committable()

    async def _step_over(self, over: list[tuple[Place, tuple[int, int]]]) -> None:
        try:
            rows = await self._pool.fetch(
                _SQL["offsets_settle"],
                [place.topic for place, _ in over],
                [place.partition for place, _ in over],
                [applied for _, (applied, _) in over],
                [position for _, (_, position) in over],
            )
        except _POSTGRES as error:
            if not postgres.is_transient(error):
                raise
            return
        positions = dict(over)
        for row in rows:
            place = Place(row[0], row[1])
            self._ledger.settled(place, positions[place][1])

    async def quiet(self) -> None:
        """Wait, for a bounded time, until the batch under way has ended and its caches are told."""
        try:
            async with asyncio.timeout(10):
                await self._idle.wait()
            async with asyncio.timeout(2):
                while not self._ledger.all_told:
                    self._teller.wake()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.warning("not all is told before partitions go", extra={"action": "quiet"})


def _standing(
    stored: Stored, starts: Mapping[Place, int], extents: Mapping[Place, Extent], untold: Mapping[Place, list[int]]
) -> Standing:
    start = starts[stored.place]
    return Standing(
        applied=stored.next_offset,
        read=start,
        position=start,
        end=extents[stored.place].end,
        told=start,
        untold=deque(untold.get(stored.place, ())),
    )
