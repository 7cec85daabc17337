"""A history is a list of steps: data that says what to do, with names in place of ids that are not known yet.

A step is a wait, lasting behaviour, or anything the control endpoint does once (`oddities/oneshots.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

WAIT, BEHAVE = "wait", "behave"


class Step(msgspec.Struct, frozen=True):
    """what: `wait`, `behave`, or the name of a one-shot; body: as the control endpoint takes it, ids as "@name"

    made: names of the records of its operations, in order; begun: name of the transaction that it begins, as "%name"
    """

    what: str
    body: dict[str, Any] = {}
    made: Sequence[str | None] = ()
    begun: str | None = None


class Names:
    """What the names of a history have come to stand for."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = dict(known)

    def body(self, step: Step) -> dict[str, Any] | None:
        """The step's body with all names replaced; None where one stands for nothing, as its step was refused."""
        try:
            return {key: self._resolved(value) for key, value in step.body.items()}
        except KeyError:
            return None

    def _resolved(self, value: Any) -> Any:
        match value:
            case str() if value[:1] in ("@", "%"):
                return self._known[value]
            case list():
                return [self._resolved(item) for item in value]
            case dict():
                return {key: self._resolved(item) for key, item in value.items()}
            case _:
                return value

    def learn(self, step: Step, answer: Mapping[str, Any]) -> None:
        for name, record_id in zip(step.made, answer.get("ids", ()), strict=False):
            if name is not None:
                self._known[name] = record_id
        if step.begun is not None:
            self._known[step.begun] = answer["transaction"]
