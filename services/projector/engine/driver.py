"""Faust and aiokafka, bent to offsets that live in Postgres. Every private name of theirs that we use is here.

Faust commits past records that were never applied, reads aborted ones, and dies at transaction markers; so the
consumer below fetches, seeks and commits itself. What stays Faust's: the group, the thread that heartbeats, the
agent and its channel, the order of start and stop. `tests/unit/projector/test_driver.py` names what it needs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import faust
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition
from faust.app import BootStrategy
from faust.transport.drivers import aiokafka as driver
from mode import Service
from mode.supervisors import CrashingSupervisor

from services.kernel import kafka
from services.kernel.clock import Clock
from services.kernel.errors import Fatal
from services.projector.engine import guard
from services.projector.engine.desk import Answer, Desk, Reach
from services.projector.engine.guard import Extent
from services.projector.log import Place

log = logging.getLogger(__name__)
_FAUST_LOG = logging.getLogger("faust.projector")
"""Where Faust's own chatter goes, with the rest of Faust's."""

PRIVATE_NAMES: dict[str, tuple[str, ...]] = {
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread": (
        "_create_worker_consumer",
        "_fetch_records",
        "_ensure_consumer",
        "_commit",
        "call_thread",
    ),
    "faust.transport.drivers.aiokafka:Consumer": (
        "_new_consumer_thread",
        "_drain_messages",
        "_get_active_partitions",
        "_add_gap",
        "verify_event_path",
        "perform_seek",
        "force_commit",
        "wait_empty",
        "stop_flow",
        "resume_flow",
    ),
    "faust.app.base:App": ("_new_transport", "_create_directories", "_stop_consumer"),
}
"""Methods that are overridden or called. Attributes of instances are checked on a live consumer."""

PRIVATE_ATTRIBUTES = (
    "_isolation_level",
    "_auto_offset_reset",
    "_fetch_max_wait_ms",
    "_fetch_min_bytes",
    "_max_partition_fetch_bytes",
    "_max_poll_records",
    "_subscription",
    "_coordinator",
)
"""Attributes of an AIOKafkaConsumer that are set before it starts, or read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the consumer fetches. Times in seconds.

    poll_records: most records taken over from the reader at once
    partition_bytes: small, so that one topic's backlog does not keep another waiting; no smaller than a producer's
        batch, or an answer would hold one partition only
    """

    group: str
    bootstrap: str
    topics: tuple[str, ...]
    static_id: str | None = None
    session_timeout: float = 10.0
    commit_interval: float = 1.0
    poll_records: int = 1000
    partition_bytes: int = kafka.MAX_BATCH_BYTES
    fetch_min_bytes: int = 1
    fetch_max_wait_ms: int = 500


class Thread(driver.AIOKafkaConsumerThread):
    """The consumer's own thread: heartbeats go on whatever the projector waits for."""

    logger = _FAUST_LOG
    app: App

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        tuning = self.app.tuning
        consumer._isolation_level = "read_committed"
        # "earliest" would go on silently after retention has passed a running reader.
        consumer._auto_offset_reset = "none"
        consumer._fetch_max_wait_ms = tuning.fetch_max_wait_ms
        consumer._fetch_min_bytes = tuning.fetch_min_bytes
        consumer._max_partition_fetch_bytes = tuning.partition_bytes
        return consumer

    async def _fetch_records(  # type: ignore[override]  # `getmany` passes on what this returns
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Answer:
        try:
            records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        except NoOffsetForPartitionError:
            # An assigned partition that nobody has sought yet: the seek is under way.
            return Answer({}, {})
        except OffsetOutOfRangeError as error:
            raise guard.refuse(["the log no longer holds the offset that is read next"]) from error
        return Answer(records, self._reach(consumer))

    def _reach(self, consumer: Any) -> dict[Place, Reach]:
        """Taken with no await after the fetch, so that both tell of the same moment."""
        subscription = consumer._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return {}
        assignment = subscription.assignment
        reach = {}
        for partition in assignment.tps:
            state = assignment.state_value(partition)
            if state is not None and state.has_valid_position:
                end = state.highwater if state.lso in (None, -1) else state.lso
                reach[Place(partition.topic, partition.partition)] = Reach(state.position, end or 0)
        return reach

    async def survey(self) -> tuple[dict[Place, Extent], dict[Place, int | None]]:
        """What the log holds of each assigned partition, and what Kafka was told."""
        found: tuple[dict[Place, Extent], dict[Place, int | None]] = await self.call_thread(self._survey)
        return found

    async def _survey(self) -> tuple[dict[Place, Extent], dict[Place, int | None]]:
        consumer = self._ensure_consumer()
        partitions = sorted(consumer.assignment())
        if not partitions:
            return {}, {}
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        committed = {_place(each): await consumer.committed(each) for each in partitions}
        return {_place(each): Extent(starts[each], ends[each]) for each in partitions}, committed

    async def seek_to(self, offsets: Mapping[Place, int]) -> None:
        await self.call_thread(self._seek_to, offsets)

    async def _seek_to(self, offsets: Mapping[Place, int]) -> None:
        consumer = self._ensure_consumer()
        for place, offset in offsets.items():
            consumer.seek(TopicPartition(*place), offset)

    async def check_errors(self) -> None:
        """Raises what aiokafka's coordinator met, and lets it go on: it waits until somebody asks."""
        await self.call_thread(self._check_errors)

    async def _check_errors(self) -> None:
        self._ensure_consumer()._coordinator.check_errors()


class Consumer(driver.Consumer):
    """Fetches, seeks and commits by offsets that live in Postgres."""

    logger = _FAUST_LOG
    app: App
    _thread: Thread
    _session = 0

    def _new_consumer_thread(self) -> Thread:
        return Thread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _desk(self) -> Desk:
        return self.app.desk

    async def perform_seek(self) -> None:
        """Called by Faust at every start and rebalance, with the flow stopped."""
        self._session += 1
        # Past Faust's own time-out for this call it would go on without having sought.
        async with asyncio.timeout(self.app.conf.broker_request_timeout * 0.8):
            extents, committed = await self._thread.survey()
            offsets = await self._desk.assigned(extents, committed)
            await self._thread.seek_to(offsets)

    def stop_flow(self) -> None:
        super().stop_flow()
        self._desk.flow(self._session, on=False)

    def resume_flow(self) -> None:
        self._desk.flow(self._session, on=True)
        super().resume_flow()

    async def _drain_messages(self, fetcher: Any) -> None:
        """Faust's fetch loop without its arithmetic: whole answers go to the agent's channel."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow.wait())
                    continue
                active = self._get_active_partitions()
                if not active:
                    await self.sleep(0.2)
                    continue
                await self._desk.room()
                await self._pass_on(active)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

    async def _pass_on(self, active: Any) -> None:
        session = self._session
        answer = cast(Answer, await self._thread.getmany(active, timeout=1.0))
        if session == self._session and self.flow_active:
            self._desk.deliver(session, answer)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Tell Kafka how far caches are told. Faust's own counting of acknowledgements plays no part."""
        held = self.assignment()
        wanted = await self._desk.committable()
        offsets = {tp: wanted[_place(tp)] for tp in held if _place(tp) in wanted}
        changed = {tp: offset for tp, offset in offsets.items() if self._committed_offset.get(tp) != offset}
        if not changed or not await self._thread.commit(changed):
            return False
        self._committed_offset.update(changed)
        return True

    async def wait_empty(self) -> None:
        """At revocation and stop, flow stopped: end the batch under way, tell, commit."""
        await self._desk.quiet()
        try:
            async with asyncio.timeout(5):
                await self.commit()
        except TimeoutError:
            log.warning("Kafka did not take the last commit", extra={"action": "commit"})

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Faust's own liveness alarms are false after any rebalance, and silent when it counts."""

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Faust's gap tracking costs milliseconds per transaction and serves only its own commits."""

    @Service.task
    async def _watch_coordinator(self) -> None:
        while not self.should_stop:
            await self.sleep(2.0)
            if not self.should_stop:
                await self._thread.check_errors()


class Transport(driver.Transport):
    Consumer = Consumer


class App(faust.App):
    """A Faust app that keeps nothing on disk, serves no web, and reads as `Consumer` does."""

    logger = _FAUST_LOG
    tuning: Tuning
    desk: Desk

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """There are no tables to keep."""


class _Boot(BootStrategy):
    enable_kafka_producer = False
    enable_web = False


def build(tuning: Tuning, desk: Desk) -> App:
    """The app with its one agent. Needs a running loop."""
    app = App(
        tuning.group,
        broker=[f"aiokafka://{address.strip()}" for address in tuning.bootstrap.split(",")],
        autodiscover=False,
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        key_serializer="raw",
        value_serializer="raw",
        stream_wait_empty=True,
        stream_buffer_maxsize=4 * tuning.poll_records,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=tuning.static_id,
        broker_commit_interval=tuning.commit_interval,
        broker_max_poll_records=tuning.poll_records,
        # A member that has no partitions, or whose Postgres is away, must not be thrown out for being idle.
        broker_max_poll_interval=1e7,
        broker_session_timeout=tuning.session_timeout,
        broker_heartbeat_interval=tuning.session_timeout / 4,
        broker_rebalance_timeout=60.0,
    )
    app.boot_strategy = _Boot(app)
    app.tuning, app.desk = tuning, desk
    app.in_worker = True
    topic = app.topic(*tuning.topics, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name="project", concurrency=1, supervisor_strategy=CrashingSupervisor)
    async def project(stream: Any) -> None:
        try:
            await desk.run(stream.channel.queue)
        except StopAsyncIteration:
            # Thrown into the channel when the stream is stopped; anything else that ends the agent is a crash.
            if not app.should_stop:
                raise

    return app


async def drive(app: App, stop: asyncio.Event, *, ready: Callable[[], None], drain_seconds: float = 20.0) -> None:
    """Run the app until `stop`, then drain; raises what it crashed with."""
    starting = asyncio.ensure_future(app.start())
    stopping = asyncio.create_task(stop.wait(), name="stop")
    crashing = asyncio.create_task(app.wait_until_stopped(), name="faust")
    try:
        await asyncio.wait({starting, stopping, crashing}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and not app.crashed:
            await starting
            ready()
            await asyncio.wait({stopping, crashing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end(app, starting, drain_seconds)
        for task in (stopping, crashing):
            task.cancel()
    # A fetch cancelled by the stop, in the middle of a rebalance, counts as a crash with Faust, not with us.
    cancelled = isinstance(app.crash_reason, asyncio.CancelledError)
    if app.crash_reason is not None and not cancelled:
        raise app.crash_reason
    if not stop.is_set():
        raise Fatal("the Faust app ended by itself")


async def _end(app: App, starting: Awaitable[None], drain_seconds: float) -> None:
    try:
        async with asyncio.timeout(drain_seconds):
            await app.stop()
    except TimeoutError:
        log.warning("Faust did not stop in time", extra={"action": "drain"})
    task = asyncio.ensure_future(starting)
    if not task.done():
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Membership:
    """Liveness of the group member: a rebalance that never ends is a zombie."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._since: float | None = None

    async def check(self) -> str | None:
        now = self._clock.monotonic()
        if not self._app.rebalancing:
            self._since = None
            return None
        self._since = now if self._since is None else self._since
        limit = 2 * self._app.conf.broker_rebalance_timeout
        return f"rebalancing for more than {limit:.0f} s" if now - self._since > limit else None


def _place(partition: Any) -> Place:
    return Place(partition.topic, partition.partition)
