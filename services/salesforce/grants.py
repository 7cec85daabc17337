"""Leave to make a call, as a budget gives it. Two budgets do: the fleet's counter and a process alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from services.salesforce.answers import Usage
from services.salesforce.calls import CallClass

Reason = Literal["floor", "blocked", "unknown", "paced", "alone"]


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to make one call.

    life, started: where the fleet's counter stood; life is "" when the process granted it alone
    learn: good for one `GET /limits` only, after which the caller asks again
    """

    id: str
    call_class: CallClass
    life: str
    started: int
    learn: bool = False


@dataclass(frozen=True, slots=True)
class Withheld:
    """No leave; `wait` is when asking again may help, None where it will not within a call's time."""

    reason: Reason
    wait: float | None = None


class Budget(Protocol):
    async def reserve(self, call_class: CallClass, seconds: float) -> Grant | Withheld:
        """Ask leave for one call that takes at most `seconds`."""
        ...

    async def settle(self, grant: Grant, usage: Usage | None, spent: bool) -> None:
        """Give a grant back once its call ended.

        usage: of the answer's header; spent: Salesforce refused the call because the day's calls are used up
        """
        ...
