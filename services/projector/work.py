"""Applies what the engine reads, batch by batch, through every failure that passes.

Free of Faust. A batch that fails for good is halved until the one bad record stands alone; a Postgres that is
away is waited for with the batch in hand. When partitions are taken away meanwhile, the batch is dropped: it
will be read again from where Postgres stands.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from schemas import versions
from schemas.events import OrderStatus, RecordChange
from schemas.mapping import Mapping as FieldMapping
from services.kernel import postgres
from services.kernel.clock import Clock
from services.kernel.errors import Fatal, Retryable
from services.kernel.retry import Backoff
from services.projector import link as links
from services.projector.apply import Applied, Outlet, apply
from services.projector.batch import Batch, Decoded, Event, decode_all, fold
from services.projector.engine.ledger import Ledger
from services.projector.link import Link
from services.projector.log import Hole, LogRecord
from services.projector.metrics import Metrics

log = logging.getLogger(__name__)

_SLICE = 64
"""Records decoded before an answer of Postgres has a turn: under a millisecond."""
_DATA = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


@dataclass(slots=True)
class Session:
    """The time between two assignments. A batch of an ended session is dropped, not applied late."""

    number: int = 0
    flowing: bool = False

    def is_on(self, number: int) -> bool:
        return self.flowing and number == self.number


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch ready for Postgres, and the session that it was read in."""

    session: int
    decoded: list[Decoded]
    folded: Batch


class Work:
    """Applies batches; owned by one task."""

    def __init__(
        self,
        *,
        dsn: str,
        mapping: FieldMapping,
        ledger: Ledger,
        outlet: Outlet,
        metrics: Metrics,
        clock: Clock,
        committed: Callable[[], None],
    ) -> None:
        self._dsn = dsn
        self._mapping = mapping
        self._ledger = ledger
        self._outlet = outlet
        self._metrics = metrics
        self._clock = clock
        self._committed = committed
        self._link: Link | None = None
        self.session = Session()
        self.last_done = clock.monotonic()

    async def open(self) -> Link:
        """Connect and prepare every statement, before the first record is fetched."""
        self._link = await links.connect(self._dsn)
        return self._link

    async def close(self) -> None:
        if self._link is not None:
            self._link.connection.terminate()
            self._link = None

    async def prepare(self, number: int, records: Sequence[LogRecord]) -> Prepared:
        """Decode and join a batch read in session `number`, in slices: another batch may be on its way to Postgres."""
        ready = Prepared(number, [], Batch())
        for start in range(0, len(records), _SLICE):
            part = decode_all(records[start : start + _SLICE], self._mapping)
            fold(part, ready.folded)
            ready.decoded.extend(part)
            await asyncio.sleep(0)
        return ready

    async def run(self, ready: Prepared) -> None:
        """Apply a batch, or drop it when its session ends first. Raises Fatal for what no retry can heal."""
        if ready.decoded:
            await self._settle(ready.session, ready.decoded, ready.folded)

    async def _settle(self, number: int, decoded: list[Decoded], folded: Batch | None = None) -> None:
        backoff = Backoff(first=0.05, longest=2.0)
        while self.session.is_on(number):
            try:
                done = await self._attempt(decoded, folded)
            except Hole as hole:
                if self.session.is_on(number):
                    raise Fatal(f"records were lost inside this process: {hole}") from hole
                return
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, Retryable) as error:
                if is_data_error(error):
                    await self._isolate(number, decoded, error)
                    return
                await self._wait(error, backoff)
                continue
            self._note(done, heard=backoff.tries == 0)
            return

    async def _attempt(self, decoded: list[Decoded], folded: Batch | None) -> Applied:
        link = self._link
        if link is None or link.closed:
            link = await self.open()
        started = time.perf_counter()
        done = await apply(link, decoded, mapping=self._mapping, outlet=self._outlet, folded=folded)
        self._metrics.transaction.observe(time.perf_counter() - started)
        return done

    async def _wait(self, error: Exception, backoff: Backoff) -> None:
        """Let a passing failure pass; raise any other."""
        if not (isinstance(error, Retryable) or postgres.is_transient(error)):
            raise error
        self._metrics.failures.labels("postgres").inc()
        if backoff.tries == 0:
            log.warning("the batch waits", extra={"action": "hold", "error": type(error).__name__})
        await self.close()
        await asyncio.sleep(backoff.next())

    async def _isolate(self, number: int, decoded: list[Decoded], error: Exception) -> None:
        """Halve a batch that Postgres refuses; the record that is left alone is set aside."""
        if len(decoded) == 1:
            self._metrics.failures.labels("apply").inc()
            alone = Decoded(decoded[0].record, None, "apply", name_of(error))
            await self._settle(number, [alone])
            return
        middle = len(decoded) // 2
        await self._settle(number, decoded[:middle])
        await self._settle(number, decoded[middle:])

    def _note(self, done: Applied, *, heard: bool) -> None:
        """`heard`: no earlier attempt can have committed, and left tags, without our hearing of it."""
        tagged = done.tagged if heard else done.next_offsets.keys()
        self._ledger.applied(done.next_offsets, tagged)
        if tagged:
            self._committed()
        self.last_done = self._clock.monotonic()
        self._metrics.batch.observe(len(done.fresh))
        self._metrics.skipped.inc(done.skipped)
        self._metrics.moved.inc(done.moved)
        self._note_events(done.fresh, self._clock.now())

    def _note_events(self, fresh: Sequence[Decoded], now: datetime) -> None:
        """Counted by batch: one by one, the counting would take longer than the decoding."""
        now_ms = versions.millis(now)
        self._metrics.log_to_row.observe(max(0.0, (now_ms - each.record.timestamp_ms) / 1000) for each in fresh)
        counts: Counter[tuple[str, str]] = Counter()
        ages: dict[str, list[float]] = {}
        for record, event, stage, _ in fresh:
            if event is None:
                self._metrics.failures.labels("decode").inc(stage == "decode")
                continue
            topic = record.place.topic
            counts[topic, kind_of(event)] += 1
            if (happened := happened_at(event)) is not None:
                ages.setdefault(topic, []).append(max(0.0, (now - happened).total_seconds()))
        for labels, count in counts.items():
            self._metrics.events.labels(*labels).inc(count)
        for topic, found in ages.items():
            self._metrics.freshness.observe(found, topic)


def kind_of(event: Event) -> str:
    match event:
        case RecordChange():
            return event.kind
        case OrderStatus():
            return "status"
        case _:
            return "watermark"


def happened_at(event: Event) -> datetime | None:
    """When Salesforce committed what an event reports; None for what only a read has found."""
    match event:
        case RecordChange(origin="cdc"):
            return event.committed_at
        case OrderStatus(kind="reported"):
            return event.occurred_at
        case _:
            return None


def is_data_error(error: Exception) -> bool:
    """Whether the data is at fault: a constraint, a type, a character. asyncpg's own checks are ValueErrors."""
    return isinstance(error, _DATA) or (isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError))


def name_of(error: Exception) -> str:
    """What Postgres refused, without any value of the record: its messages quote them."""
    constraint = getattr(error, "constraint_name", None)
    return type(error).__name__ + (f" ({constraint})" if constraint else "")
