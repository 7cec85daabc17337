"""Which process streams which Salesforce topic: the consumer group over the checkpoint partitions says so.

Two owners may overlap in subscribing, never in writing: taking the transactional id fences the one before. The steps
are numbered as the protocol numbers them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Never

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas import topics
from services.ingestor import checkpoints, transactions
from services.ingestor.settings import StreamSettings
from services.ingestor.stream import Source, Stream
from services.ingestor.transactions import Abandoned
from services.kernel import kafka
from services.kernel.errors import Fatal
from services.kernel.health import Gate
from services.kernel.retry import Backoff
from services.kernel.settings import KafkaSettings

log = logging.getLogger(__name__)

_POLL_MS = 200
_HEARTBEAT_MS = 500
_REBALANCE_MS = 20_000
"""How long the group waits for a member that is still letting its last commits end."""
_LONG_LIFE_SECONDS = 10.0


JOBS = "jobs"
"""What the owner of the jobs' checkpoint partition runs, beside topics."""
Jobs = Callable[[], Coroutine[Any, Any, Never]]


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types, and insists on its own base
    """One member of the group, and one task for each topic that it owns; one for all jobs where it owns those."""

    def __init__(self, settings: KafkaSettings, source: Source, jobs: Jobs | None = None) -> None:
        self._kafka = settings
        self._source = source
        self._jobs = jobs
        self._settings: StreamSettings = source.settings
        self._tasks: dict[str, asyncio.Task[Never]] = {}
        self._gates: dict[str, Gate] = {}
        self._joined = Gate("the group has not given this process its share yet")
        self._group: asyncio.TaskGroup | None = None
        self._consumer: AIOKafkaConsumer | None = None

    async def check(self) -> str | None:
        """Ready when every owned topic is subscribed to; a standby that owns none is ready."""
        faults = [fault for gate in (self._joined, *self._gates.values()) if (fault := await gate.check())]
        return "; ".join(faults) or None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. A task that fails for no reason known here ends all of them, and the process."""
        backoff = Backoff(first=0.2, longest=5.0)
        async with asyncio.TaskGroup() as self._group:
            token = self._group.create_task(self._source.pubsub.keep_token(), name="token")
            while not stop.is_set():
                try:
                    await self._membership(stop, backoff)
                except KafkaError as error:
                    self._joined.close(f"no group: {error}")
                    log.warning("Kafka is away", extra={"action": "kafka_away", "why": str(error)})
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), backoff.next())
            token.cancel()

    async def _membership(self, stop: asyncio.Event, backoff: Backoff) -> None:
        consumer = kafka.consumer(
            self._kafka,
            group_id=self._settings.stream_group,
            session_timeout_ms=int(self._settings.stream_session_seconds * 1000),
            heartbeat_interval_ms=_HEARTBEAT_MS,
            rebalance_timeout_ms=_REBALANCE_MS,
        )
        try:
            await _require_topic(self._kafka)
            await consumer.start()
            self._consumer = consumer
            consumer.subscribe([topics.CHECKPOINT.name], listener=self)
            backoff.reset()
            while not stop.is_set():
                await consumer.getmany(timeout_ms=_POLL_MS)
        finally:
            # Before the group learns that we leave: the next owner finds nothing half done.
            self._consumer = None
            await self._release(list(self._tasks))
            await consumer.stop()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """ON ASSIGN: one task for each topic of ours; it goes through the steps by itself."""
        consumer = self._consumer
        if consumer is None or self._group is None:
            return
        places = sorted(assigned)
        if places:
            consumer.pause(*places)
        ours = {place.partition for place in places}
        for name in (n for n in self._settings.stream_topics if topics.checkpoint_partition(n) in ours):
            self._gates[name] = Gate(f"{name}: not subscribed yet")
            self._tasks[name] = self._group.create_task(self._own(name, self._gates[name]), name=f"own {name}")
            self._source.metrics.owned.labels(name).set(1)
        if self._jobs is not None and topics.JOBS_PARTITION in ours:
            self._tasks[JOBS] = self._group.create_task(self._jobs(), name="jobs")
            self._source.metrics.runs_jobs.set(1)
        self._joined.open()
        log.info("topics assigned", extra={"action": "assigned", "topics": ",".join(self._tasks) or "none"})

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """ON REVOKE: the group waits for this. All are revoked on every change, so all are let go."""
        self._joined.close("the group is giving out the topics anew")
        await self._release(list(self._tasks))

    async def _release(self, names: Iterable[str]) -> None:
        """Close the streams, begin nothing new, let running commits end (a few seconds), close the producers."""
        tasks = [self._tasks.pop(name) for name in names]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for name in list(self._gates):
            self._gates.pop(name)
            self._source.metrics.owned.labels(name).set(0)
        self._source.metrics.runs_jobs.set(0)

    async def _own(self, name: str, gate: Gate) -> Never:
        """Own one topic until cancelled, which revocation does: as long as this runs, the group says it is ours."""
        backoff = Backoff(first=0.1, longest=5.0)
        clock = self._source.clock
        while True:
            began = clock.monotonic()
            try:
                await self._one_life(name, gate)
            except (Abandoned, KafkaError) as error:
                # Whatever was in hand is gone; nothing of it is written again before the position has been re-read.
                gate.close(f"{name}: {error}")
                self._source.metrics.abandoned.labels(name, type(error).__name__).inc()
                log.warning("ownership begins anew", extra={"action": "abandoned", "topic": name, "why": str(error)})
            if clock.monotonic() - began > _LONG_LIFE_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.next())

    async def _one_life(self, name: str, gate: Gate) -> Never:
        # Step 1: take the transactional id: fences the predecessor, aborts or finishes what it left open.
        async with transactions.opened(self._kafka, transactions.id_of(name)) as held:
            # Steps 2 and 3: only now the position, read_committed up to the high watermark asked uncommitted.
            checkpoint = await checkpoints.read(self._kafka, topics.checkpoint_partition(name), name)
            # Step 4: still assigned, for revocation would have cancelled us. Step 5: the loop.
            await Stream(name, self._source, held, gate).follow(checkpoint)


async def _require_topic(settings: KafkaSettings) -> None:
    """Without its topic the group would wait in silence; with another number of partitions it would own too few."""
    wanted = topics.CHECKPOINT
    async with kafka.admin(settings) as admin:
        (found,) = await admin.describe_topics([wanted.name])
    partitions = len(found["partitions"])
    if not partitions:
        raise Fatal(f"the topic {wanted.name} is missing: run `umbra migrate`")
    if partitions != wanted.partitions:
        raise Fatal(f"the topic {wanted.name} has {partitions} partitions, not {wanted.partitions}")
