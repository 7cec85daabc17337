"""The org: records, their transactions, and the one place where a commit becomes events and a line in the journal."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sandbox.salesforce import journal as lines
from sandbox.salesforce.clock import Clock
from sandbox.salesforce.commit import Caller, Commit
from sandbox.salesforce.eventbus import StoredEvent, Topic
from sandbox.salesforce.journal import Journal, JournalError
from sandbox.salesforce.publisher import Publisher
from sandbox.salesforce.schema import Record
from sandbox.salesforce.store import Store
from sandbox.salesforce.transaction import Counters, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How this org behaves where real orgs differ."""

    whole_seconds: bool = True  # commit timestamps as all real samples have them; False: milliseconds
    keepalive_s: float = 60.0  # an empty answer to a subscriber with credit but no events
    zero_credit_s: float = 60.0  # a stream without credit is closed after this
    daily_api_calls: int = 100_000
    session_s: float = 7200.0
    bulk_delay_s: float = 0.2  # how long a query job stays in each of its states before it is complete


class Org:
    """One org.  All methods run on one event loop and never wait, so a transaction is never seen half done."""

    def __init__(self, org_id: str, user_id: str, clock: Clock, journal: Journal, behaviour: Behaviour) -> None:
        self.org_id = org_id
        self.user_id = user_id
        self.clock = clock
        self.behaviour = behaviour
        self.store = Store()
        self.counters = Counters({})
        self.publisher = Publisher()
        self.bus = self.publisher.bus
        self._journal = journal

    @contextmanager
    def transaction(self, caller: Caller | None = None) -> Iterator[Transaction]:
        """Commits at the end, or undoes everything when the block raises."""
        caller = caller or Caller(self.user_id, "")
        tx = Transaction(self.store, self.counters, caller, self._stamp())
        try:
            yield tx
            self._commit(tx)
        except BaseException:
            tx.rollback()
            raise

    def _stamp(self) -> int:
        now = self.clock.now_ms()
        return now - now % 1000 if self.behaviour.whole_seconds else now

    def _commit(self, tx: Transaction) -> None:
        changes, notices = tx.changes(), tx.notices()
        if not changes and not notices:
            return
        self.counters.commit_number = max(self.counters.commit_number + 1, self.clock.now_ms() * 1_000_000)
        commit = Commit(
            at_ms=self._stamp(),
            number=self.counters.commit_number,
            key=str(uuid.uuid4()),
            user_id=tx.caller.user_id,
            origin=tx.caller.origin,
            changes=changes,
            notices=notices,
        )
        self._publish(self.publisher.events(commit), [(c.object, c.after) for c in changes])

    def publish(self, events: list[StoredEvent]) -> None:
        """Make already numbered events durable, then visible."""
        self._publish(events, [])

    def _publish(self, events: list[StoredEvent], records: list[tuple[str, Record]]) -> None:
        self._journal.append(lines.SavedCommit(records, events, self._numbers()))
        self.bus.release(events)

    def refresh_tip(self, topic: Topic) -> int:
        """The topic's newest position, renewed when it would otherwise age out; also drops what has aged out."""
        now = self.clock.now_ms()
        if topic.needs_marker(now):
            marker = StoredEvent(topic.name, topic.next_number(), now)
            self._journal.append(lines.SavedEvent(marker))
            topic.append(marker)
        topic.prune(now)
        return topic.tip()

    def next_job_id(self) -> str:
        """An id for something that is no record; remembered at once, so a restart cannot give it again."""
        job_id = self.counters.next_id("750")
        self._journal.append(self._numbers())
        return job_id

    def load(self) -> bool:
        """Read the journal.  False for an org that is still empty."""
        known = False
        for line in self._journal.read():
            known = True
            self._apply(line)
        return known

    def _apply(self, line: lines.Line) -> None:
        match line:
            case lines.SavedRecord():
                self.store.put(line.object, str(line.record["Id"]), line.record)
            case lines.SavedCommit():
                for object_name, record in line.records:
                    self.store.put(object_name, str(record["Id"]), record)
                for event in line.events:
                    self._restore(event)
                self._restore_numbers(line.numbers)
            case lines.SavedEvent():
                self._restore(line.event)
            case lines.SavedSchema():
                self.publisher.schemas.setdefault(line.id, line.json)
            case lines.Numbers():
                self._restore_numbers(line)

    def _restore(self, event: StoredEvent) -> None:
        if (topic := self.bus.topics.get(event.topic)) is not None:
            topic.append(event)

    def _restore_numbers(self, numbers: lines.Numbers) -> None:
        self.counters.ids.update(numbers.ids)
        self.counters.order_number = numbers.order_number
        self.counters.line_number = numbers.line_number
        self.counters.commit_number = numbers.commit_number
        for name, last in numbers.topics.items():
            if (topic := self.bus.topics.get(name)) is not None:
                topic.last = max(topic.last, last)

    def compact(self) -> None:
        """Write the whole state as a fresh journal; from here on commits are appended to it."""
        for topic in self.bus.topics.values():
            if topic.entries:
                topic.prune(self.clock.now_ms())
        self._journal.rewrite(self._state())
        for topic in self.bus.topics.values():
            self.refresh_tip(topic)

    def _state(self) -> Iterator[lines.Line]:
        topics = {name: topic.last for name, topic in self.bus.topics.items()}
        yield self._numbers(topics)
        yield from (lines.SavedSchema(key, text) for key, text in self.publisher.schemas.items())
        for name, table in self.store.tables.items():
            yield from (lines.SavedRecord(name, record) for record in table.records.values())
        entries = chain.from_iterable(topic.entries for topic in self.bus.topics.values())
        yield from (lines.SavedEvent(event) for event in entries)

    def _numbers(self, topics: dict[str, int] | None = None) -> lines.Numbers:
        c = self.counters
        return lines.Numbers(dict(c.ids), c.order_number, c.line_number, c.commit_number, topics or {})


def open_org(
    state_dir: Path, org_id: str, user_id: str, clock: Clock, behaviour: Behaviour
) -> tuple[Org, Journal, bool]:
    """The org kept under a state directory, its journal, and whether it has been there before.  Raises JournalError."""
    journal = Journal(state_dir)
    org = Org(org_id, user_id, clock, journal, behaviour)
    try:
        return org, journal, org.load()
    except JournalError:
        journal.close()
        raise
