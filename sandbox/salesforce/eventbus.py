"""The org's event topics: a retained log each, and a wake-up for whoever waits at its end.

A topic's log also holds markers: positions without an event.  They make the tip of a quiet topic a position that can be
resumed from, and keep it from ageing out.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from sandbox.salesforce import replay

RETENTION_MS = 72 * 3_600_000
_MARKER_AGE_MS = 3_600_000  # a keepalive on a topic quiet for longer leaves a fresh position
_FIRST_NUMBER = 487_000
_NUMBER = attrgetter("number")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event in a topic's log; a marker has no payload."""

    topic: str
    number: int
    at_ms: int
    id: str = ""
    schema_id: str = ""
    payload: bytes = b""


class Topic:
    """One topic's log, oldest first."""

    def __init__(self, name: str, schema_id: str) -> None:
        self.name = name
        self.schema_id = schema_id
        self.entries: list[StoredEvent] = []
        self.last = _FIRST_NUMBER
        self.published = 0
        self.cuts = 0
        """How often the log was cut: a stream that was open then may have lost its place."""
        self._waiters: set[asyncio.Event] = set()

    def next_number(self) -> int:
        self.last = replay.following(self.last)
        return self.last

    def following(self, last: int | None) -> int:
        """The next number, or the one after `last`."""
        self.last = self.last if last is None else last
        return self.next_number()

    def cut(self, through: int, marker: StoredEvent) -> None:
        """Forget everything up to a position; the marker is the newest entry then."""
        del self.entries[: bisect_right(self.entries, through, key=_NUMBER)]
        self.cuts += 1
        self.append(marker)

    def append(self, event: StoredEvent) -> None:
        self.entries.append(event)
        self.last = max(self.last, event.number)
        if event.payload:
            self.published += 1

    def wake(self) -> None:
        for waiter in self._waiters:
            waiter.set()

    def watch(self, waiter: asyncio.Event) -> None:
        self._waiters.add(waiter)

    def unwatch(self, waiter: asyncio.Event) -> None:
        self._waiters.discard(waiter)

    def tip(self) -> int:
        return self.entries[-1].number

    def before_first(self) -> int:
        """A position from which everything retained follows."""
        return self.entries[0].number - 1

    def knows(self, number: int) -> bool:
        """Whether this is a position still in the log."""
        at = bisect_left(self.entries, number, key=_NUMBER)
        return at < len(self.entries) and self.entries[at].number == number

    def after(self, number: int, limit: int) -> list[StoredEvent]:
        """Up to `limit` events that follow a position."""
        found: list[StoredEvent] = []
        for index in range(bisect_right(self.entries, number, key=_NUMBER), len(self.entries)):
            if len(found) == limit:
                break
            if self.entries[index].payload:
                found.append(self.entries[index])
        return found

    def prune(self, now_ms: int) -> None:
        """Forget what is older than the retention; the newest entry always stays, as the tip."""
        cut = bisect_left(self.entries, now_ms - RETENTION_MS, key=attrgetter("at_ms"))
        del self.entries[: min(cut, len(self.entries) - 1)]

    def needs_marker(self, now_ms: int) -> bool:
        return not self.entries or now_ms - self.entries[-1].at_ms > _MARKER_AGE_MS


class EventBus:
    """All topics by name."""

    def __init__(self, topics: Iterable[Topic]) -> None:
        self.topics = {topic.name: topic for topic in topics}

    def release(self, events: Iterable[StoredEvent]) -> None:
        """Append events to their logs and wake the subscribers of each topic once."""
        touched: dict[str, Topic] = {}
        for event in events:
            topic = touched.setdefault(event.topic, self.topics[event.topic])
            topic.append(event)
        for topic in touched.values():
            topic.wake()
