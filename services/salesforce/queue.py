"""The one way to Salesforce: every call waits its turn, keeps its deadline, is counted, and stays in the budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from services.kernel.retry import Backoff
from services.salesforce import failures
from services.salesforce.breaker import Breaker
from services.salesforce.calls import CallClass as CallClass
from services.salesforce.errors import BudgetRefused, DeadlinePassed, QueueFull, SalesforceError, Unavailable
from services.salesforce.grants import Budget, Grant, Withheld
from services.salesforce.login import Login, Token
from services.salesforce.metrics import DoorMetrics
from services.salesforce.session import Session
from services.salesforce.slots import Slots
from services.salesforce.transport import Lease, Seen, Transport, Wire

T = TypeVar("T")

_UNSENT = Seen("POST", sent=False)
"""Of a call that got no token: Salesforce has seen nothing of it, so any call may be tried again."""

LEARN = "limits"
"""Route of the call that finds out what the usage is."""


@dataclass(slots=True)
class _Call(Generic[T]):
    """One call and its tries."""

    call_class: CallClass
    route: str
    deadline: float
    request: Callable[[Session], T]
    token: Token | None = None
    renewed: bool = False
    tries: int = 0
    lease: Lease | None = None
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.1, longest=2.0))

    @property
    def remaining(self) -> float:
        return self.deadline - time.monotonic()

    def abandon(self) -> None:
        """The caller is gone: end what is under way, start nothing more."""
        self.deadline = 0.0
        if self.lease is not None:
            self.lease.abort()


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _Failed:
    error: SalesforceError
    seen: Seen | None = None
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the queue is doing. away: Salesforce is, and calls fail at once."""

    running: int
    waiting: dict[str, int]
    away: bool


class _Learnt:
    """The usage is known now; the call itself has still to be made."""


def learn(session: Session) -> None:
    """The call that finds out what the usage is; its answer's header tells, also when the user may not read it."""
    session.salesforce.limits()


class _Made(Generic[T]):
    """A request as a thread makes it, and what was seen of it once it ended."""

    def __init__(self, request: Callable[[Session], T], token: Token, version: str) -> None:
        self._request, self._token, self._version = request, token, version
        self.seen: Seen | None = None

    def __call__(self, wire: Wire) -> T:
        try:
            return self._request(Session(wire, self._token, self._version))
        finally:
            self.seen = wire.seen


class SalesforceRequestQueue:
    """Calls by urgency, at most `salesforce_concurrency` at once, `salesforce_waiting` waiting.

    When the waiting list is full the least urgent waiting call is turned away, the newcomer if it is that.
    """

    def __init__(
        self,
        *,
        slots: Slots,
        budget: Budget,
        login: Login,
        transport: Transport,
        metrics: DoorMetrics,
        api_version: str,
        longest_seconds: float,
    ) -> None:
        self._slots = slots
        self._budget = budget
        self._login = login
        self._transport = transport
        self._metrics = metrics
        self._version = api_version
        self._longest = longest_seconds
        self._breaker = Breaker()
        self._running: dict[asyncio.Task[Any], _Call[Any]] = {}

    async def call(self, call_class: CallClass, route: str, deadline: float, request: Callable[[Session], T]) -> T:
        """Run `request` in a thread and return what it returns.

        route: a fixed name for metrics, never holding an id
        deadline: moment of `time.monotonic()` (`calls.within`); covers waiting, tries and the call
        request: makes exactly one HTTP request with the session it is handed; it may run again when a GET
            failed in a way that another try may help, or when nothing was carried out

        Raises the errors of `services.salesforce.errors`.
        """
        call = _Call(call_class, route, deadline, request)
        while True:
            outcome = await self._try(call)
            match outcome:
                case _Done():
                    return outcome.value
                case Withheld():
                    await self._wait(call, outcome)
                case _Failed():
                    await self._recover(call, outcome)

    def state(self) -> QueueState:
        waiting = {call_class.label: self._slots.waiting(call_class) for call_class in CallClass}
        return QueueState(self._slots.running, waiting, self._breaker.is_open)

    async def close(self) -> None:
        """Refuse everybody who waits, end every call under way."""
        self._slots.close()
        running = dict(self._running)
        for call in running.values():
            call.abandon()
        if running:
            await asyncio.wait(running)

    async def _try(self, call: _Call[T]) -> _Done[T] | _Failed | Withheld | _Learnt:
        """One try, in a task of its own: a caller that is cancelled leaves it to clean up behind itself."""
        try:
            await self._slots.acquire(call.call_class, call.deadline)
        except QueueFull:
            self._metrics.withheld(call.call_class, "queue_full")
            raise
        except DeadlinePassed:
            self._metrics.withheld(call.call_class, "deadline")
            raise
        task = asyncio.create_task(self._attempt(call), name=f"salesforce {call.route}")
        self._running[task] = call
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            call.abandon()
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._running[task]
        self._slots.release()
        if not task.cancelled():
            task.exception()  # looked at here, for its caller may be gone

    async def _attempt(self, call: _Call[T]) -> _Done[T] | _Failed | Withheld | _Learnt:
        pause = self._breaker.wait(time.monotonic())
        if pause is not None:
            self._metrics.withheld(call.call_class, "away")
            return _Failed(Unavailable("Salesforce is away", retry_after=pause))
        try:
            token = call.token or await self._login.token(call.deadline)
        except SalesforceError as error:
            self._judge(error)
            return _Failed(error, _UNSENT)
        call.token = None
        seconds = min(call.remaining, self._longest)
        if seconds <= 0:
            return _Failed(DeadlinePassed("no time left to send"))
        grant = await self._budget.reserve(call.call_class, seconds)
        return grant if isinstance(grant, Withheld) else await self._spend(call, grant, token)

    async def _spend(self, call: _Call[T], grant: Grant, token: Token) -> _Done[T] | _Failed | _Learnt:
        """Make the request that was granted, and settle it whatever becomes of it."""
        made: _Made[Any] = _Made(learn if grant.learn else call.request, token, self._version)
        lease = call.lease = self._transport.lease()
        began = time.monotonic()
        error: SalesforceError | None = None
        outcome = "failed"
        try:
            value = await self._transport.run(min(call.deadline, began + self._longest), made, lease)
            outcome = "ok"
        except failures.FAILURES as failure:
            seen = made.seen or (None if lease.ended else lease.wire.seen)
            error = failures.error_of(failure, seen, late=call.remaining <= 0)
            outcome = failures.outcome_of(error)
        finally:
            route = LEARN if grant.learn else call.route
            self._metrics.request(route, call.call_class, outcome, time.monotonic() - began)
            await self._settle(grant, made.seen, error)
        self._judge(error)
        if grant.learn and (error is None or (made.seen and made.seen.usage)):
            return _Learnt()
        return _Done(value) if error is None else _Failed(error, made.seen, token)

    async def _settle(self, grant: Grant, seen: Seen | None, error: SalesforceError | None) -> None:
        usage = seen.usage if seen else None
        if usage is not None:
            self._metrics.usage(usage)
        await self._budget.settle(grant, usage, spent=failures.spent(error))

    def _judge(self, error: SalesforceError | None) -> None:
        """Tell the breaker whether Salesforce is there; a deadline says neither."""
        if isinstance(error, Unavailable):
            self._breaker.failed(time.monotonic())
        elif not isinstance(error, DeadlinePassed):
            self._breaker.worked()

    async def _wait(self, call: _Call[T], withheld: Withheld) -> None:
        """Ask the budget again later, where the deadline allows."""
        if withheld.wait is None or withheld.wait >= call.remaining:
            self._metrics.withheld(call.call_class, withheld.reason)
            raise BudgetRefused(withheld.reason, withheld.wait)
        await asyncio.sleep(withheld.wait)

    async def _recover(self, call: _Call[T], failed: _Failed) -> None:
        """Prepare another try where one helps, else raise."""
        call.tries += 1
        if failures.expired(failed.seen) and not call.renewed and failed.token is not None:
            call.renewed = True
            call.token = await self._login.renewed(failed.token, call.deadline)
            return
        if not failures.another_try_helps(failed.error, failed.seen, call.tries):
            raise failed.error
        pause = max(call.backoff.next(), failed.error.retry_after or 0.0)
        if pause >= call.remaining:
            raise failed.error
        await asyncio.sleep(pause)
