"""What the org counts: API calls, query jobs and events in rolling spans, kept over a restart."""

from collections import Counter, deque
from pathlib import Path
from typing import Annotated

import msgspec

from sandbox.salesforce.clock import Clock

_MINUTE_MS = 60_000
_DAY, _HOUR = 24 * 60, 60  # minutes


class Rolling:
    """A count over the last so many minutes."""

    def __init__(self, clock: Clock, span: int) -> None:
        self._clock = clock
        self._span = span
        self._total = 0
        self.minutes: deque[tuple[int, int]] = deque()

    def add(self, amount: int = 1) -> None:
        minute = self._clock.now_ms() // _MINUTE_MS
        if self.minutes and self.minutes[-1][0] == minute:
            self.minutes[-1] = (minute, self.minutes[-1][1] + amount)
        else:
            self.minutes.append((minute, amount))
        self._total += amount

    def total(self) -> int:
        oldest = self._clock.now_ms() // _MINUTE_MS - self._span
        while self.minutes and self.minutes[0][0] <= oldest:
            self._total -= self.minutes.popleft()[1]
        return self._total

    def restore(self, minutes: list[tuple[int, int]]) -> None:
        self.minutes = deque(minutes)
        self._total = sum(count for _, count in minutes)


class Allowances(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the org may use, in rolling spans."""

    daily_api_calls: Annotated[int, msgspec.Meta(ge=0)] = 100_000
    daily_query_jobs: Annotated[int, msgspec.Meta(ge=0)] = 10_000
    daily_result_mb: Annotated[int, msgspec.Meta(ge=0)] = 976_562
    daily_delivered_events: Annotated[int, msgspec.Meta(ge=0)] = 50_000
    hourly_published_events: Annotated[int, msgspec.Meta(ge=0)] = 250_000


class Usage:
    """The counters of one org.  Those of rolling spans are the org's, the others this process's."""

    def __init__(self, clock: Clock, allowances: Allowances) -> None:
        self.allowances = allowances
        self.api_calls = Rolling(clock, _DAY)
        self.query_jobs = Rolling(clock, _DAY)
        self.result_bytes = Rolling(clock, _DAY)
        self.delivered_events = Rolling(clock, _DAY)
        self.published_events = Rolling(clock, _HOUR)
        self.calls_by_route: Counter[str] = Counter()
        self.delivered_by_topic: Counter[str] = Counter()
        self.streams_by_topic: Counter[str] = Counter()

    def exhausted(self) -> bool:
        return self.api_calls.total() >= self.allowances.daily_api_calls

    def deliveries_left(self) -> int:
        """How many events the day's allowance still has."""
        return max(0, self.allowances.daily_delivered_events - self.delivered_events.total())

    def count_call(self, route: str) -> None:
        self.api_calls.add()
        self.calls_by_route[route] += 1

    def count_delivery(self, topic: str, events: int) -> None:
        self.delivered_events.add(events)
        self.delivered_by_topic[topic] += events

    def limit_info(self) -> str:
        """The value of the Sforce-Limit-Info header."""
        return f"api-usage={self.api_calls.total()}/{self.allowances.daily_api_calls}"

    def _spans(self) -> dict[str, Rolling]:
        names = ("api_calls", "query_jobs", "result_bytes", "delivered_events", "published_events")
        return {name: getattr(self, name) for name in names}

    def saved(self) -> bytes:
        return msgspec.json.encode({name: list(rolling.minutes) for name, rolling in self._spans().items()})

    def load(self, path: Path) -> None:
        """Take over the counts of the process before this one, if there was one."""
        if path.exists():
            known = msgspec.json.decode(path.read_bytes(), type=dict[str, list[tuple[int, int]]])
            for name, rolling in self._spans().items():
                rolling.restore(known.get(name, []))
