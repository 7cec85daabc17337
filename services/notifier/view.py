"""What one client has been shown of one order: it never goes back in time and sees no state twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from schemas.versions import StatusVersion
from services.notifier.content import Content
from services.notifier.ring import Entry
from services.notifier.verdict import Plan, State

BURST = 64
"""States that a returning client is shown one by one; of more, the oldest are counted as skipped."""


@dataclass(slots=True)
class View:
    """next: log records below it have been dealt with; last, shown, terminal: of the newest state."""

    next: int
    last: StatusVersion | None = None
    shown: Content | None = None
    terminal: bool = False

    @classmethod
    def of(cls, plan: Plan) -> View:
        return cls(plan.join, plan.last, plan.shown, plan.terminal)

    def accept(self, entry: Entry) -> bool:
        """Take the next record of the log; says whether it is to be shown."""
        if entry.offset < self.next:
            return False
        self.next = entry.offset + 1
        return self._take(entry.version, entry.content, entry.terminal)

    def accept_state(self, state: State) -> bool:
        """Take what a snapshot says; says whether it is to be shown."""
        return self._take(state.version, state.content, state.terminal)

    def _take(self, version: StatusVersion, content: Content, terminal: bool) -> bool:
        if self.last is not None and version <= self.last:
            return False
        self.last, self.terminal = version, terminal
        if content.repeats(self.shown):
            return False
        self.shown = content
        return True

    def replay(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, int]]:
        """The entries to be shown, each with the number of those skipped before it.

        The view stands right after each entry while that is being handled.
        """
        waiting = list(entries)
        trial = replace(self)
        spared = max(0, sum(trial.accept(entry) for entry in waiting) - BURST)
        seen = 0
        for entry in waiting:
            if not self.accept(entry):
                continue
            seen += 1
            if seen > spared:
                yield entry, spared if seen == spared + 1 else 0
