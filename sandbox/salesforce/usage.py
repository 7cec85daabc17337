"""What the org counts: API calls in a rolling day, query jobs, delivered events."""

from collections import Counter, deque

from sandbox.salesforce.clock import Clock

_MINUTE_MS = 60_000
_DAY_MINUTES = 24 * 60


class RollingDay:
    """A count over the last 24 hours, kept in minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._minutes: deque[tuple[int, int]] = deque()
        self._total = 0

    def add(self, amount: int = 1) -> None:
        minute = self._clock.now_ms() // _MINUTE_MS
        if self._minutes and self._minutes[-1][0] == minute:
            self._minutes[-1] = (minute, self._minutes[-1][1] + amount)
        else:
            self._minutes.append((minute, amount))
        self._total += amount

    def total(self) -> int:
        oldest = self._clock.now_ms() // _MINUTE_MS - _DAY_MINUTES
        while self._minutes and self._minutes[0][0] <= oldest:
            self._total -= self._minutes.popleft()[1]
        return self._total


class Usage:
    """Counters of one org since the process started."""

    def __init__(self, clock: Clock, daily_api_calls: int) -> None:
        self.daily_api_calls = daily_api_calls
        self.api_calls = RollingDay(clock)
        self.query_jobs = RollingDay(clock)
        self.delivered_events = RollingDay(clock)
        self.published_events = RollingDay(clock)
        self.calls_by_route: Counter[str] = Counter()
        self.delivered_by_topic: Counter[str] = Counter()
        self.streams_by_topic: Counter[str] = Counter()

    def exhausted(self) -> bool:
        return self.api_calls.total() >= self.daily_api_calls

    def count_call(self, route: str) -> None:
        self.api_calls.add()
        self.calls_by_route[route] += 1

    def count_delivery(self, topic: str, events: int) -> None:
        self.delivered_events.add(events)
        self.delivered_by_topic[topic] += events

    def limit_info(self) -> str:
        """The value of the Sforce-Limit-Info header."""
        return f"api-usage={self.api_calls.total()}/{self.daily_api_calls}"
