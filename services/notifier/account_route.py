"""GET /orders/events: all of the caller's orders in one stream."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from services.notifier import account_verdict, held
from services.notifier.account_stream import AccountStream
from services.notifier.account_verdict import AccountPlan, AccountSnapshot
from services.notifier.answers import Answers
from services.notifier.callers import Caller, Callers, cursor_text
from services.notifier.cursor import AccountCursor
from services.notifier.hub import Hub
from services.notifier.log import Log
from services.notifier.reader import Reader
from services.notifier.snapshot import Snapshots
from services.notifier.wire import SocketWire


@dataclass(frozen=True, slots=True)
class Visit:
    caller: Caller
    log: Log
    text: str | None
    cursor: AccountCursor | None


class AccountRoute:
    def __init__(self, hub: Hub, reader: Reader, snapshots: Snapshots, callers: Callers, answers: Answers) -> None:
        self._hub = hub
        self._reader = reader
        self._snapshots = snapshots
        self._callers = callers
        self._answers = answers

    async def get(self, request: web.Request) -> web.StreamResponse:
        visit = await self._visit(request)
        ends = await self._ends(visit)
        snapshot: AccountSnapshot | None = None
        while account_verdict.decide(visit.log.rings, visit.cursor, ends, snapshot) is None:
            snapshot = await self._snapshot(visit)
        response, wire = await held.opened(request, self._hub)
        # The log went on meanwhile: decide again. From here to the registration nothing may wait.
        plan = account_verdict.decide(visit.log.rings, visit.cursor, ends, snapshot)
        if plan is None or self._hub.draining or self._reader.log is not visit.log:
            wire.write(self._answers.later_block("drain" if self._hub.draining else "log"))
            await held.finish(response, wire)
            return response
        stream = self._begin(visit, plan, wire)
        await held.until_over(self._hub, response, stream, wire, visit.caller)
        return response

    async def _visit(self, request: web.Request) -> Visit:
        caller = await self._callers.of(request)
        log = self._callers.admit(caller)
        text = cursor_text(request)
        return Visit(caller, log, text, log.sealer.open_account(text, caller.account_id) if text else None)

    async def _ends(self, visit: Visit) -> list[int]:
        """Ends of the log, asked afresh where the client has read further than this instance."""
        places = visit.cursor.places if visit.cursor is not None else ()
        ends = [ring.pos for ring in visit.log.rings]
        for partition, place in enumerate(places):
            if place.next > ends[partition]:
                ends[partition] = await self._reader.end(partition)
        return ends

    async def _snapshot(self, visit: Visit) -> AccountSnapshot:
        account_id = visit.caller.account_id
        snapshot = await self._snapshots.account(account_id, len(visit.log.rings), visit.log.epoch)
        for order_id in snapshot.states:
            self._hub.learn(order_id, account_id)
        return snapshot

    def _begin(self, visit: Visit, plan: AccountPlan, wire: SocketWire) -> AccountStream:
        stream = AccountStream(
            visit.caller.account_id,
            rings=visit.log.rings,
            unowned=self._hub.unowned,
            sealer=visit.log.sealer,
            wire=wire,
            greet=held.greeting(self._hub, visit.caller.claims),
        )
        mine = list(self._hub.records_of(visit.caller.account_id, visit.log.rings, plan))
        stream.open(plan, mine, self._hub.retry_ms())
        self._hub.registry.add(stream, visit.caller.account_id)
        self._hub.metrics.connects.labels("account", "again" if visit.text else "first", plan.resume).inc()
        return stream
