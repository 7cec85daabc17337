"""Waiting out what passes: for long jobs, whose deadline is hours and not the moment of one person."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.kernel.retry import Backoff
from services.salesforce.errors import BudgetRefused, DeadlinePassed, LimitExceeded, SalesforceError, Unavailable

T = TypeVar("T")


async def patiently(deadline: float, ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again, with growing pauses, until it works or the deadline comes; what will not pass is raised at once."""
    pauses = Backoff(first=1.0, longest=30.0)
    while True:
        try:
            return await ask()
        except SalesforceError as error:
            if not passes(error):
                raise
            await pause(max(pauses.next(), error.retry_after or 0.0), deadline, error)


async def pause(seconds: float, deadline: float, cause: SalesforceError | None = None) -> None:
    """Sleep; DeadlinePassed instead when the deadline comes before."""
    if seconds >= deadline - time.monotonic():
        raise DeadlinePassed("not done before the deadline") from cause
    await asyncio.sleep(seconds)


def passes(error: SalesforceError) -> bool:
    """Whether waiting helps. A share of the allowance that is used up comes back too slowly."""
    match error:
        case Unavailable():
            return True
        case LimitExceeded():
            return error.kind == "concurrent"
        case BudgetRefused():
            return error.reason in ("unknown", "alone", "paced")
        case _:
            return False
