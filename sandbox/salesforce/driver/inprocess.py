"""An org without ports and files, on a clock that moves when it is told to, and steps played on it."""

import random
from collections.abc import Iterable, Iterator

from sandbox.salesforce import ids
from sandbox.salesforce.clock import Clock
from sandbox.salesforce.driver.history import STANDARD
from sandbox.salesforce.driver.steps import Names, Step
from sandbox.salesforce.errors import Refused
from sandbox.salesforce.journal import Journal, Line
from sandbox.salesforce.objects import OBJECTS
from sandbox.salesforce.oddities.oneshots import OneShots, behaving
from sandbox.salesforce.org import Behaviour, Org
from sandbox.salesforce.seed.plant import Planter


class SetClock(Clock):
    """Stands still until it is moved."""

    __slots__ = ("at_ms",)

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        super().__init__(0, lambda: self.at_ms)

    def advance(self, ms: int) -> None:
        self.at_ms += ms


class Unwritten(Journal):
    """A journal that is kept nowhere; whoever is interested sees each line."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def read(self) -> Iterator[Line]:
        return iter(())

    def rewrite(self, lines: Iterable[Line]) -> None:
        del lines

    def append(self, line: Line) -> None:
        self.lines.append(line)


class Played:
    """One org in this process, with what a history needs to be played on it."""

    def __init__(self, rng: random.Random, start_ms: int, *, whole_seconds: bool) -> None:
        self.clock = SetClock(start_ms)
        self.journal = Unwritten()
        behaviour = Behaviour(whole_seconds=whole_seconds)
        org_id, user_id = ids.make("00D", 1), ids.make("005", 1)
        # Its own objects: a field that it gets is no other org's.
        self.org = Org(org_id, user_id, self.clock, self.journal, behaviour, dict(OBJECTS), rng)
        standard = Planter(self.org).plant_bare()
        self.org.compact()
        self._shots = OneShots()
        self._names = Names({STANDARD: standard})
        self.refused = 0

    def play(self, step: Step) -> bool:
        """False for a step that the org refused, or that depends on one."""
        body = self._names.body(step)
        try:
            if body is None:
                raise Refused("NOT_FOUND", "an earlier step was refused")
            self._do(step, body)
        except Refused:
            self.refused += 1
            return False
        return True

    def _do(self, step: Step, body: dict[str, object]) -> None:
        match step.what:
            case "wait":
                self.clock.advance(int(str(body["ms"])))
            case "behave":
                self.org.behave(behaving(self.org, body))
            case what:
                self._names.learn(step, self._shots.call(what, self.org, body))
        self.org.settle()
