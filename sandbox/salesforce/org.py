"""The org: records, their transactions, and the one place where a commit becomes events and a line in the journal."""

import random
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.salesforce import journal as lines
from sandbox.salesforce import memory
from sandbox.salesforce.change_events import Outgoing
from sandbox.salesforce.clock import Clock
from sandbox.salesforce.commit import Caller, Change, Commit, Notice
from sandbox.salesforce.eventbus import StoredEvent, Topic
from sandbox.salesforce.journal import Journal, JournalError
from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.oddities.late import LateEvents
from sandbox.salesforce.oddities.settings import NONE, Oddities, draw
from sandbox.salesforce.oddities.times import CommitTimes
from sandbox.salesforce.publisher import CHANNEL, Publisher
from sandbox.salesforce.replay import ReplayIds
from sandbox.salesforce.schema import Field, Record, SObject
from sandbox.salesforce.store import Key, Reads, Store
from sandbox.salesforce.transaction import Counters, Transaction, locked


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How this org behaves where real orgs differ."""

    whole_seconds: bool = True  # commit timestamps as all real samples have them; False: milliseconds
    keepalive_s: float = 60.0  # an empty answer to a subscriber with credit but no events
    zero_credit_s: float = 60.0  # a stream without credit is closed after this
    session_s: float = 7200.0
    bulk_delay_s: float = 0.2  # how long a query job stays in each of its states before it is complete


class Org:
    """One org.  All methods run on one event loop and never wait, so a transaction is never seen half done.

    `database` is what transactions write; `store` is what readers see of it, which may lag behind.
    """

    def __init__(
        self,
        org_id: str,
        user_id: str,
        clock: Clock,
        journal: Journal,
        behaviour: Behaviour,
        objects: dict[str, SObject] = OBJECTS,
        rng: random.Random | None = None,
    ) -> None:
        self.org_id = org_id
        self.user_id = user_id
        self.clock = clock
        self.behaviour = behaviour
        self.objects = objects
        self.random = rng or random.Random()
        self.oddities = NONE
        self.replay = ReplayIds(org_id)
        self.database = Store(objects)
        self.store = Reads(self.database, clock.now_ms)
        self.counters = Counters({})
        self.publisher = Publisher(objects, self.random)
        self.bus = self.publisher.bus
        self.lose_next = 0
        """So many of the next events are never stored."""
        self._open: dict[Transaction, int] = {}
        self._locks: dict[Key, Transaction] = {}
        self.added: list[tuple[str, Field]] = []
        self._times = CommitTimes(self.random)
        self.late = LateEvents(self.bus)
        self._journal = journal

    @contextmanager
    def transaction(self, caller: Caller | None = None) -> Iterator[Transaction]:
        """Commits at the end, or undoes everything when the block raises."""
        stamp = self.stamp()
        tx = Transaction(self.database, self.counters, caller or Caller(self.user_id, ""), lambda: stamp, self._locks)
        try:
            yield tx
            self._commit(tx)
        except BaseException:
            tx.rollback()
            raise

    def begin(self, caller: Caller | None = None, *, waited_ms: int = 0) -> Transaction:
        """A transaction that stays open until `commit` or `abandon`.

        waited_ms: how long before its write an operation takes its stamp, as one that waits for a row's lock does
        """
        start = self.clock.now_ms()
        tx = Transaction(
            self.database,
            self.counters,
            caller or Caller(self.user_id, ""),
            lambda: self._stamp(max(start, self.clock.now_ms() - waited_ms)),
            self._locks,
            long=True,
        )
        self._open[tx] = start
        return tx

    def commit(self, tx: Transaction) -> None:
        """Commit an open transaction."""
        self._commit(tx)
        del self._open[tx]

    def abandon(self, tx: Transaction) -> None:
        """Undo an open transaction."""
        tx.rollback()
        for key in tx.unlock():
            self.database.unhide(key)
        del self._open[tx]

    def earliest_open_ms(self) -> int:
        """Since when the oldest open transaction is open; now where none is.  All stamped before it is committed."""
        return min(self._open.values(), default=self.clock.now_ms())

    def stamp(self) -> int:
        """What a write is stamped with now."""
        return self._stamp(self.clock.now_ms())

    def check_lock(self, object_name: str, record_id: str) -> None:
        """Raises Refused for a record that an open transaction has written."""
        if (object_name, record_id) in self._locks:
            raise locked(record_id)

    def _stamp(self, at_ms: int) -> int:
        return at_ms - at_ms % 1000 if self.behaviour.whole_seconds else at_ms

    def _commit(self, tx: Transaction) -> None:
        changes, notices = tx.changes(), tx.notices()
        now = self.clock.now_ms()
        if tx.written() or notices:
            commit = self.numbered(tx.caller, changes, notices)
            events = self._events(commit)
            due = now + draw(self.random, self.oddities.late_reads_ms)
            self._publish(events, tx.written())
            self._conceal(tx.unlock(), changes, due)
        else:
            self._conceal(tx.unlock(), (), now)

    def _conceal(self, locked: Sequence[Key], changes: Sequence[Change], due: int) -> None:
        """What was kept from readers is shown when it is due, and what is due later is kept from them until then."""
        shown = {*locked}
        for object_name, record_id in locked:
            self.database.show((object_name, record_id), due, self.database.get(object_name, record_id))
        for change in changes:
            key = (change.object, change.record_id)
            if key not in shown and (due > self.clock.now_ms() or change.record_id in self.database.hidden[key[0]]):
                self.database.hide(key, change.before)
                self.database.show(key, due, change.after)

    def numbered(
        self, caller: Caller, changes: Sequence[Change], notices: Sequence[Notice], of: Iterable[str] = ()
    ) -> Commit:
        """A commit of these changes, and of the records `of`, whose times it does not lie before."""
        now, odd = self.clock.now_ms(), self.oddities
        if odd.number_jump_share and self.random.random() < odd.number_jump_share:
            self.counters.jump(self.random.choice((-1, 1)) * self.random.randint(1, 10**15))
        return Commit(
            at_ms=self._times.of(now, [*(c.record_id for c in changes), *of], odd, self._stamp),
            number=self.counters.next_commit(now),
            key=str(uuid.UUID(int=self.random.getrandbits(128), version=4)),
            user_id=caller.user_id,
            origin=caller.origin,
            changes=changes,
            notices=notices,
        )

    def _events(self, commit: Commit) -> list[StoredEvent]:
        """The commit's events as they are stored: some may be lost, some doubled."""
        stored: list[StoredEvent] = []
        for event in self.publisher.events(commit, self.oddities):
            stored += self.stored(event)
        return stored

    def stored(self, event: Outgoing) -> list[StoredEvent]:
        """One event with its place in its topic's log, and in the channel's."""
        if self.lose_next:
            self.lose_next -= 1
            return []
        if self.oddities.lose_share and self.random.random() < self.oddities.lose_share:
            return []
        twice = bool(self.oddities.duplicate_share) and self.random.random() < self.oddities.duplicate_share
        now = self.clock.now_ms()
        copies = [self.publisher.number(event, now) for _ in range(1 + twice)]
        if CHANNEL in self.bus.topics and event.topic.startswith("/data/"):
            copies += [self.publisher.number(replace(event, topic=CHANNEL), now)]
        return copies

    def publish(self, events: list[StoredEvent]) -> None:
        """Make already numbered events durable, then visible."""
        self._publish(events, [])

    def write(self, events: list[StoredEvent], records: list[tuple[str, Record]], gone: Sequence[Key] = ()) -> None:
        """Write records past all rules, at once visible, with these events or none."""
        now = self.clock.now_ms()
        for object_name, record in records:
            self.database.overwrite((object_name, str(record["Id"])), record, now)
        for key in gone:
            self.database.overwrite(key, None, now)
        self._publish(events, records, gone)

    def _publish(self, events: list[StoredEvent], records: list[tuple[str, Record]], gone: Sequence[Key] = ()) -> None:
        self._journal.append(lines.SavedCommit(records, events, memory.numbers(self), list(gone)))
        now = self.clock.now_ms()
        self.late.add(events, now + draw(self.random, self.oddities.late_events_ms), now)

    def settle(self) -> int | None:
        """Show what is due by now; milliseconds until something else will be."""
        now = self.clock.now_ms()
        self.database.settle(now)
        return self.late.settle(now)

    def behave(self, oddities: Oddities) -> None:
        """Lasting behaviour from here on."""
        self._journal.append(lines.SavedOddities(oddities))
        self.take_on(oddities)
        if oddities.multi_entity:
            self.refresh_tip(self.bus.topics[CHANNEL])

    @contextmanager
    def for_now(self, oddities: Oddities) -> Iterator[None]:
        """Other behaviour inside the block, which must not wait."""
        lasting, self.oddities = self.oddities, oddities
        try:
            yield
        finally:
            self.oddities = lasting

    def take_on(self, oddities: Oddities) -> None:
        self.oddities = oddities
        self.replay.opaque = oddities.opaque_replay_ids
        if oddities.multi_entity:
            self.publisher.open_channel()

    def add_field(self, object_name: str, field: Field) -> None:
        """A new field of an object, before its other custom ones: later events have another schema."""
        self._journal.append(lines.SavedField(object_name, field))
        self.take_field(object_name, field)

    def take_field(self, object_name: str, field: Field) -> None:
        obj = self.objects[object_name].with_field(field)
        self.objects[object_name] = self.database.tables[object_name].obj = obj
        self.publisher.renew(obj)
        self.added.append((object_name, field))

    def cut(self, topic: Topic, through: int, last: int | None = None) -> None:
        """Forget a topic's log up to a position; `last` moves its numbers on, so that no old one is among the new."""
        self.late.settle(self.clock.now_ms() + 10**12)  # what is on its way has its number already
        marker = StoredEvent(topic.name, topic.following(last), self.clock.now_ms())
        self._journal.append(lines.SavedCut(topic.name, through, marker))
        topic.cut(through, marker)
        topic.wake()

    def refresh_tip(self, topic: Topic) -> int:
        """The topic's newest position, renewed when it would otherwise age out; also drops what has aged out."""
        now = self.clock.now_ms()
        if topic.needs_marker(now) and not self.late.waiting(topic.name):
            marker = StoredEvent(topic.name, topic.next_number(), now)
            self._journal.append(lines.SavedEvent(marker))
            topic.append(marker)
        topic.prune(now)
        return topic.tip()

    def next_job_id(self) -> str:
        """An id for something that is no record; remembered at once, so a restart cannot give it again."""
        job_id = self.counters.next_id("750")
        self._journal.append(memory.numbers(self))
        return job_id

    def load(self) -> bool:
        """Read the journal.  False for an org that is still empty."""
        known = False
        for line in self._journal.read():
            known = True
            memory.restore(self, line)
        return known

    def compact(self) -> None:
        """Write the whole state as a fresh journal; from here on commits are appended to it."""
        for topic in self.bus.topics.values():
            if topic.entries:
                topic.prune(self.clock.now_ms())
        self._journal.rewrite(memory.state(self))
        for topic in self.bus.topics.values():
            self.refresh_tip(topic)


def open_org(
    state_dir: Path,
    org_id: str,
    user_id: str,
    clock: Clock,
    behaviour: Behaviour,
    objects: dict[str, SObject] = OBJECTS,
) -> tuple[Org, Journal, bool]:
    """The org kept under a state directory, its journal, and whether it has been there before.  Raises JournalError."""
    journal = Journal(state_dir)
    org = Org(org_id, user_id, clock, journal, behaviour, objects)
    try:
        return org, journal, org.load()
    except JournalError:
        journal.close()
        raise
