"""The one way to Salesforce: every call waits its turn, keeps its deadline, is counted, and stays in the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from services.salesforce.calls import CallClass as CallClass
from services.salesforce.transport import Session

T = TypeVar("T")


class SalesforceRequestQueue:
    """Calls by urgency, at most `salesforce_concurrency` at once, `salesforce_waiting` waiting.

    When the waiting list is full the least urgent waiting call is turned away, the newcomer if it is that.
    """

    async def call(self, call_class: CallClass, route: str, deadline: float, request: Callable[[Session], T]) -> T:
        """Run `request` in a thread and return what it returns.

        route: a fixed name for metrics, never holding an id
        deadline: moment of `time.monotonic()` (`calls.within`); covers waiting, tries and the call
        request: makes exactly one HTTP request with the session it is handed; it may run again when a GET
            failed in a way that another try may help, or when nothing was carried out

        Raises the errors of `services.salesforce.errors`.
        """
        raise NotImplementedError
