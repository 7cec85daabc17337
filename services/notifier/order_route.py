"""GET /orders/{order_id}/events: whose order, where the client stands, and the stream from there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from schemas import ids
from services.kernel import kafka
from services.notifier import access, held, verdict
from services.notifier.answers import Answers, Later, Refused
from services.notifier.callers import Caller, Callers, cursor_text
from services.notifier.cursor import OrderCursor
from services.notifier.hub import Hub
from services.notifier.log import Log
from services.notifier.reader import Reader
from services.notifier.ring import Ring
from services.notifier.snapshot import Snapshots
from services.notifier.streams import OrderStream
from services.notifier.verdict import Plan, Snapshot
from services.notifier.view import View
from services.notifier.wire import SocketWire

UNKNOWN_SECONDS = 1.5
"""How long a stream for an unknown order waits for the log before its client is told to come again."""
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Visit:
    """One client's wish to follow one order."""

    caller: Caller
    order_id: str
    partition: int
    log: Log
    text: str | None
    cursor: OrderCursor | None

    @property
    def ring(self) -> Ring:
        return self.log.rings[self.partition]


class OrderRoute:
    def __init__(self, hub: Hub, reader: Reader, snapshots: Snapshots, callers: Callers, answers: Answers) -> None:
        self._hub = hub
        self._reader = reader
        self._snapshots = snapshots
        self._callers = callers
        self._answers = answers

    async def get(self, request: web.Request) -> web.StreamResponse:
        visit = await self._visit(request)
        snapshot = await self._permit(visit)
        end = await self._end(visit)
        while (plan := verdict.decide(visit.ring, visit.cursor, end, snapshot)) is None:
            snapshot = await self._snapshot(visit)
        if _is_over(visit, plan):
            raise Refused(204, "the order is finished")
        response, wire = await held.opened(request, self._hub)
        # The log went on meanwhile: decide again. From here to the registration nothing may wait.
        plan = verdict.decide(visit.ring, visit.cursor, end, snapshot)
        if plan is None or self._hub.draining or self._reader.log is not visit.log:
            wire.write(self._answers.later_block("drain" if self._hub.draining else "log"))
            await held.finish(response, wire)
            return response
        stream = self._begin(visit, plan, wire)
        await held.until_over(self._hub, response, stream, wire, visit.caller)
        return response

    def _begin(self, visit: Visit, plan: Plan, wire: SocketWire) -> OrderStream:
        stream = OrderStream(
            visit.order_id,
            visit.caller.account_id,
            partition=visit.partition,
            ring=visit.ring,
            sealer=visit.log.sealer,
            wire=wire,
            greet=held.greeting(self._hub, visit.caller.claims),
        )
        stream.open(plan, self._hub.retry_ms())
        self._hub.registry.add(stream, visit.order_id)
        self._hub.metrics.connects.labels("order", "again" if visit.text else "first", plan.resume).inc()
        return stream

    async def _visit(self, request: web.Request) -> Visit:
        caller = await self._callers.of(request)
        log = self._callers.admit(caller)
        try:
            order_id = ids.parse(request.match_info["order_id"])
        except ValueError as error:
            raise Refused(404, "there is no such order") from error
        partition = kafka.partition_of(order_id, len(log.rings))
        text = cursor_text(request)
        cursor = log.sealer.open_order(text, order_id, caller.account_id, partition) if text else None
        return Visit(caller, order_id, partition, log, text, cursor)

    async def _permit(self, visit: Visit) -> Snapshot | None:
        """Raise unless the order is the caller's; a snapshot that this took is returned."""
        account_id = visit.caller.account_id
        owner = self._owner(visit)
        # A cursor opens for the one account that it was sealed for: so a resume does not need Postgres.
        if owner == account_id or (owner is None and visit.cursor is not None):
            return None
        end = await self._reader.end(visit.partition)
        await self._reach(visit, end)
        if self._owner(visit) == account_id:
            return None
        snapshot = await self._snapshot(visit)
        answer = access.decide(
            account_id,
            snapshot.account_id or self._owner(visit),
            row_exists=snapshot.state is not None,
            applied=snapshot.next_offset,
            base=visit.ring.base,
            position=visit.ring.pos,
            end=end,
        )
        if answer is access.Answer.HIDDEN:
            raise Refused(404, "there is no such order")
        if answer is access.Answer.UNDECIDED:
            raise Later("unknown")
        return snapshot

    def _owner(self, visit: Visit) -> str | None:
        return self._hub.owners.get(visit.order_id) or visit.ring.owner(visit.order_id)

    async def _reach(self, visit: Visit, end: int) -> None:
        """Wait a little until this instance has read up to `end`, or the order's owner has turned up."""
        deadline = asyncio.get_running_loop().time() + UNKNOWN_SECONDS
        while visit.ring.pos < end and self._owner(visit) is None:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _snapshot(self, visit: Visit) -> Snapshot:
        snapshot = await self._snapshots.order(visit.order_id, visit.partition, visit.log.epoch)
        if snapshot.account_id is not None:
            self._hub.learn(visit.order_id, snapshot.account_id)
        return snapshot

    async def _end(self, visit: Visit) -> int:
        if visit.cursor is None or visit.cursor.next <= visit.ring.pos:
            return visit.ring.pos
        return await self._reader.end(visit.partition)


def _is_over(visit: Visit, plan: Plan) -> bool:
    """Whether the client has been shown the end of its order and there is nothing newer."""
    if visit.cursor is None or plan.resume == "gap" or plan.state is not None or plan.ahead is not None:
        return False
    view = View.of(plan)
    news = [entry for entry in visit.ring.of(visit.order_id, plan.join) if view.accept(entry)]
    return view.terminal and not news
