"""One history from a seed to its verdict: the org lives, the ingestor follows as it likes, and in the end all is done
that its obligations ask for, and not more: a last full read would hide what is wrong."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from sandbox.salesforce.driver import profile as profiles
from sandbox.salesforce.driver.history import History
from sandbox.salesforce.driver.inprocess import Played
from sandbox.salesforce.driver.profile import Profile
from schemas import join
from schemas.events import RecordChange
from schemas.join import State
from tests.histories.ingest import CLOCK_MS, Asked, Ingest, Job
from tests.histories.mapped import OBJECTS
from tests.histories.truth import EMPTY, Key, Truth

START = 1_790_000_000_000
TIGHT_MS, USUAL_MS = 5_000, 30_000
"""M: what it has to be at least (late visibility 3 s, early commit times 1 s, clock error 1 s), and as it is set."""
QUIET = 3_001


@dataclass(slots=True)
class Life:
    """faults: all that is wrong, empty for a history that ended as it should"""

    ingest: Ingest
    faults: list[str] = field(default_factory=list)


class Follower:
    """What the ingestor does between two steps of the org: this or that, or nothing."""

    def __init__(self, ingest: Ingest, rng: random.Random) -> None:
        self.ingest = ingest
        self._rng = rng
        self.jobs: list[Job] = []
        self._asked: dict[str, Asked] = {}

    def act(self) -> None:
        rng = self._rng
        for topic in tuple(self.ingest.streams):
            if rng.random() < 0.2:
                self.ingest.disconnect(topic)
            if rng.random() < 0.5:
                self.ingest.consume(topic, rng.randint(1, 8))
        self.jobs = [job for job in self.jobs if not self._finished(job)]
        for key, mark in self.ingest.due().items():
            if rng.random() < 0.15:
                self.ingest.repair(key, mark)
        if self.ingest.known and rng.random() < 0.2:
            self._look(rng.choice(sorted(self.ingest.known)))
        if rng.random() < 0.1:
            self._delta(rng.choice(OBJECTS))

    def _finished(self, job: Job) -> bool:
        if self._rng.random() < 0.6:
            return False
        self.ingest.finish(job)
        return True

    def _look(self, key: Key) -> None:
        """A read that nobody asked for proves nothing and harms nothing."""
        self.ingest.read_by_id(key[0], [key[1]], self.ingest.measured_ms())

    def _delta(self, object_name: str) -> None:
        """In two steps: the org goes on between the answer of `updated` and the read."""
        if object_name not in self.ingest.starts:
            return
        asked = self._asked.pop(object_name, None)
        if asked is None:
            self._asked[object_name] = self.ingest.ask(object_name)
        else:
            self.jobs.append(self.ingest.delta(object_name, asked))

    def finish_jobs(self) -> None:
        for job in self.jobs:
            self.ingest.finish(job)
        self.jobs = []


def live(seed: int, follow: type[Ingest] = Ingest) -> Life:
    """Everything is drawn from the seed; `follow` is how the org is followed."""
    rng = random.Random(seed)
    profile = profiles.draw(rng)
    played = Played(random.Random(rng.random()), START + rng.randint(0, 999), whole_seconds=profile.whole_seconds)
    truth = Truth(played)
    ingest = follow(played, truth, rng, rng.choice((TIGHT_MS, USUAL_MS)))
    _go_on(History(rng, profile), Follower(ingest, rng), profile)
    return Life(ingest, [*ingest.faults, *_verdict(ingest, rng)])


def _go_on(history: History, follower: Follower, profile: Profile) -> None:
    ingest, rng = follower.ingest, follower.ingest.rng
    ingest.claims_by_stamp = not profile.early & profiles.HIDDEN
    hidden = bool((profile.early - profile.late) & profiles.HIDDEN)
    begin = rng.choice((0, 1, 2, 5))
    for number, step in enumerate(history.steps()):
        if number == begin:
            ingest.subscribe(from_now=rng.random() < 0.5)
            follower.jobs = [ingest.full(name) for name in OBJECTS]
        if hidden and history.late:
            hidden = False
            _find_hidden(follower)
        ingest.played.play(step)
        ingest.truth.note()
        if number >= begin:
            follower.act()
            ingest.truth.note()
    _settle(follower, silent=bool(profile.late & profiles.SILENT))


def _find_hidden(follower: Follower) -> None:
    """The scheduled full read, late enough for all that was hidden so far; the org goes on while it runs."""
    ingest = follower.ingest
    follower.finish_jobs()
    ingest.wait(ingest.margin_ms + 1_000 + 2 * CLOCK_MS)
    follower.jobs = [ingest.full(name) for name in OBJECTS]


def _settle(follower: Follower, *, silent: bool) -> None:
    """The org is quiet; what is due is done until nothing is."""
    ingest = follower.ingest
    follower.finish_jobs()
    ingest.wait(QUIET)
    _drain(ingest)
    for name in OBJECTS:
        ingest.anti_join(name)
    if silent:
        ingest.wait(ingest.truth.last_ms + ingest.margin_ms + 1_000 + 2 * CLOCK_MS - ingest.now_ms())
        for name in OBJECTS:
            ingest.finish(ingest.delta(name, ingest.ask(name)))
    for name in OBJECTS:
        if ingest.holes[name]:
            ingest.remedy(name)
    for key, mark in sorted(ingest.due().items()):
        ingest.repair(key, mark)


def _drain(ingest: Ingest) -> None:
    for topic in ingest.streams:
        while ingest.consume(topic, 100):
            pass


def _verdict(ingest: Ingest, rng: random.Random) -> list[str]:
    """The rows against the org, whatever order the log's messages came in; and what else must hold."""
    faults = list(ingest.truth.wrong(ingest.known))
    faults += [f"{name}: {sorted(opened)} stay open" for name, opened in ingest.holes.items() if opened]
    faults += [f"{key} stays dirty" for key in ingest.due()]
    if shuffled(ingest.log, rng) != ingest.known:
        faults.append("another order of the log gives other rows")
    faults += doubled(ingest)
    return faults


def shuffled(log: list[RecordChange], rng: random.Random) -> dict[Key, State]:
    """The join of the log in any order, some of it twice, in batches that are joined first."""
    messages = [*log, *rng.sample(log, len(log) // 5)]
    rng.shuffle(messages)
    known: dict[Key, State] = {}
    while messages:
        size = rng.randint(1, 8)
        batch, messages = messages[:size], messages[size:]
        joined: dict[Key, State] = {}
        for message in batch:
            key = (message.object, message.record_id)
            joined[key] = join.join(joined.get(key, EMPTY), join.state_of(message))
        for key, state in joined.items():
            known[key] = join.join(known.get(key, EMPTY), state)
    return known


def doubled(ingest: Ingest) -> list[str]:
    """A change is in the log once, but for what the org delivered again, which is counted."""
    seen: dict[tuple[object, ...], str | None] = {}
    again = 0
    for message in ingest.log:
        if message.origin == "cdc" and message.transaction_key is not None and message.kind != "dirty":
            key = (message.transaction_key, message.sequence, message.object, message.record_id, message.kind)
            # What was stored twice has two positions: after a heal nobody knows what lay before, but for its version.
            stored_twice = ingest.counts["healed"] > 0 and seen.get(key, message.replay_id) != message.replay_id
            again += key in seen and not stored_twice
            seen[key] = message.replay_id
    allowed = ingest.counts["repeated"] + ingest.counts["inverted"]
    return [f"{again} changes are in the log again, {allowed} were delivered again"] if again > allowed else []
