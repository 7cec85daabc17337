"""What a rebuild may begin from, and what it drops at its end. Pure.

Without a complete full read in the log, the log does not hold every record; and behind the read's start it may hold
old copies of records whose deletion it has forgotten (docs/adr/0011).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from schemas import topics, versions
from schemas.events import Watermark
from schemas.join import ALIVE, State
from schemas.versions import Version
from services.projector.batch import Decoded
from services.projector.engine.guard import Extent
from services.projector.log import Place
from services.projector.replay.spans import Refused
from services.projector.rows import ACCOUNT, ENTRY, ORDER, PRODUCT

SLACK_MS = 60_000
"""The log's times are our clocks', a read's bound is the org's: so much earlier is begun. More only reads more."""


@dataclass(frozen=True, slots=True)
class Group:
    """Objects whose rows are one thing to swap: they are written under one lock."""

    name: str
    objects: tuple[str, ...]
    tables: tuple[str, ...]

    @property
    def topics(self) -> tuple[str, ...]:
        names = tuple(topics.RECORD_TOPICS[each].name for each in self.objects)
        return (*names, topics.ORDER_STATUS.name) if ORDER in self.objects else names


GROUPS = (
    Group("catalog", (PRODUCT, ENTRY), ("sf_product_shadow", "sf_pricebook_shadow")),
    Group("accounts", (ACCOUNT,), ("sf_account_eligibility_shadow",)),
    Group("orders", (ORDER,), ("sf_order_shadow", "sf_order_status")),
)
NAMES = [name for group in GROUPS for name in (*group.tables, *group.objects)]


def group_of(name: str) -> Group:
    """By a table or an object. Raises KeyError for another name."""
    return {each: group for group in GROUPS for each in (*group.tables, *group.objects)}[name]


class Job(NamedTuple):
    """A complete full read, and the time up to which it proves commits: whole seconds, epoch ms."""

    object: str
    job_id: str
    until_ms: int

    @property
    def least(self) -> str:
        """No version at or after the read's bound is less than this, and every earlier one is."""
        return f"{self.until_ms:014d}"

    @property
    def gone(self) -> State:
        """What the read says of a record that it did not show and of which nothing newer is known."""
        version = Version(self.least + "0" * 26)
        return State(payload={ALIVE: True}, newer={ALIVE: version})

    @property
    def begin_ms(self) -> int:
        return max(0, self.until_ms - SLACK_MS)


def starts(jobs: Iterable[Job], wanted: Iterable[str]) -> dict[str, Job]:
    """The read of each object. Raises Refused where there is none."""
    by_object = {job.object: job for job in jobs}
    for name in wanted:
        if name not in by_object:
            raise Refused(f"no complete full read of {name} is known. {_help(name)}")
    return by_object


def begin(place: Place, extent: Extent, job: Job | None, found: int | None) -> int:
    """Where to begin in a partition. Statuses have no read: all that is there, over what they were.

    found: the first offset at or after the read's bound. Raises Refused where the log may have lost some since.
    """
    if job is None:
        return extent.start
    if found is None or found == extent.start > 0:
        raise Refused(
            f"{place.topic}/{place.partition} holds nothing older than the last complete full read of {job.object} "
            f"({job.job_id}, up to {versions.moment(job.until_ms):%Y-%m-%d %H:%M:%S} UTC), so what came with it may be "
            f"gone. {_help(job.object)}"
        )
    return found


HELP = "Run `umbra backfill --object {} --execute` first; it does not need the projector."


def _help(name: str) -> str:
    return HELP.format(name)


class Mark(NamedTuple):
    """A start or an end of a read, in one partition."""

    topic: str
    partition: int
    phase: str


def marks(decoded: Iterable[Decoded], jobs: Mapping[str, Job]) -> set[Mark]:
    """Starts and ends of the reads that are begun from."""
    found = set()
    for record, event, *_ in decoded:
        if isinstance(event, Watermark) and event.phase is not None and event.basis == "full":
            job = jobs.get(event.object)
            if job is not None and job.job_id == event.job_id:
                found.add(Mark(*record.place, event.phase))
    return found


def missing(seen: Iterable[Mark], jobs: Mapping[str, Job]) -> str | None:
    """Which part of a read is not in what was read; None where all of it is."""
    known = set(seen)
    for name, job in jobs.items():
        topic = topics.RECORD_TOPICS[name]
        for partition in range(topic.partitions):
            for phase in ("start", "end"):
                if Mark(topic.name, partition, phase) not in known:
                    return f"the {phase} of {job.job_id} is not in {topic.name}/{partition}"
    return None
