"""Where a rebuild of a group begins in the log, and how far it has to read: to where the workers stand.

Where no worker can go on (the log was trimmed past Postgres's offset, or is another one), to the end of the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas import topics, versions
from services.kernel.errors import Retryable
from services.kernel.settings import KafkaSettings
from services.projector.engine import guard, standing
from services.projector.engine.guard import Extent, Stored
from services.projector.link import Link
from services.projector.log import Place
from services.projector.rebuild import start
from services.projector.rebuild.start import Group, Job
from services.projector.replay import runs
from services.projector.replay.reading import LogReader
from services.projector.replay.spans import Refused


@dataclass(frozen=True, slots=True)
class Beginning:
    """offsets: where each partition begins; about: what the run says of itself"""

    offsets: Mapping[Place, int]
    about: Mapping[str, Any]


@dataclass(slots=True)
class Aim:
    """broken: partitions in which no worker can go on, after `look`"""

    kafka: KafkaSettings
    group: Group
    reader: LogReader
    broken: set[Place] = field(default_factory=set)

    async def look(self, link: Link) -> None:
        """Ask the start guard's questions for every partition. Raises Refused."""
        extents = await self.reader.extents(self.group.topics)
        await runs.epochs(link, self.group.topics)
        known = await runs.standing(link, self.group.topics)
        sound = {
            place: each.stored
            for place, each in known.items()
            if place in extents and guard.refusal(each.stored, each.epoch, extents[place]) is None
        }
        self.broken = set(extents) - set(sound) | await self._others(sound, extents)

    async def _others(self, sound: Mapping[Place, Stored], extents: Mapping[Place, Extent]) -> set[Place]:
        """Partitions whose last applied record is not the one that was applied."""
        remembered = {place: each for place, each in sound.items() if guard.remembers(each, extents[place])}
        try:
            seen = await standing.last_records(self.kafka, remembered)
        except Retryable as error:
            raise Refused(str(error)) from error
        return {place for place, record in seen.items() if guard.difference(remembered[place], record) is not None}

    async def targets(self, link: Link) -> dict[Place, int]:
        """Up to where to read, as of now."""
        extents = await self.reader.extents(self.group.topics)
        known = await runs.standing(link, self.group.topics)
        return {
            place: extent.end if place in self.broken else known[place].stored.next_offset
            for place, extent in extents.items()
        }

    async def beginning(self, link: Link, said: Sequence[Job]) -> Beginning:
        """From the newest complete full read of each object. Raises Refused where the log does not hold it whole."""
        jobs = start.starts(await self._known(link, said), self.group.objects)
        by_topic = {topics.RECORD_TOPICS[name].name: job for name, job in jobs.items()}
        extents = await self.reader.extents(self.group.topics)
        times = {place: by_topic[place.topic].begin_ms for place in extents if place.topic in by_topic}
        found = await self.reader.at(times)
        offsets = {
            place: start.begin(place, extent, by_topic.get(place.topic), found.get(place))
            for place, extent in extents.items()
        }
        return Beginning(offsets, {"jobs": [list(job) for job in jobs.values()]})

    async def _known(self, link: Link, said: Sequence[Job]) -> list[Job]:
        """From the oldest to the newest."""
        rows = await link.rows("run_jobs", list(self.group.objects))
        known = [Job(row["object"], row["job_id"], versions.millis(row["covered_until"])) for row in rows]
        known += [job for job in said if job.object in self.group.objects]
        return sorted(known, key=lambda job: job.until_ms)

    async def way_back(self, link: Link, past_id: int) -> Beginning:
        """From where the old generation stood when it was swapped out. Raises Refused where it cannot catch up."""
        offsets = {place: at.next for place, at in (await runs.positions(link, past_id)).items()}
        for place, extent in (await self.reader.extents(self.group.topics)).items():
            if offsets[place] < extent.start:
                raise Refused(
                    f"the old generation stood at {offsets[place]} of {place.topic}/{place.partition}, and the log "
                    f"begins at {extent.start}: it cannot catch up any more"
                )
        return Beginning(offsets, {"past": past_id})


def jobs_of(about: Mapping[str, Any]) -> dict[str, Job]:
    """The reads that a run begins from, as it says of itself."""
    return {job.object: job for job in (Job(*each) for each in about.get("jobs", ()))}
