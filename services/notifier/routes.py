"""The routes. A status other than 200 stops a browser's stream for good, so it is given only to stop it.

Overload, drain and anything that is away: 200, a `retry:` of the client's own, and the end. 204: the order is
finished and the client knows it. 401, 403, 404: this client has nothing to come back for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from schemas import events, ids
from services.kernel import auth, kafka
from services.kernel.auth import Claims, Verifier
from services.notifier import access, expiry, sse, verdict
from services.notifier.cursor import OrderCursor
from services.notifier.hub import Hub
from services.notifier.log import Log
from services.notifier.reader import KafkaAway, Reader
from services.notifier.registry import Stream
from services.notifier.ring import Ring
from services.notifier.snapshot import PostgresAway, Snapshots
from services.notifier.streams import OrderStream
from services.notifier.verdict import Plan, Snapshot
from services.notifier.view import View
from services.notifier.wire import SocketWire

UNKNOWN_SECONDS = 1.5
"""How long a stream for an unknown order waits for the log before its client is told to come again."""
_POLL_SECONDS = 0.02
_EOF_SECONDS = 2.0


class Later(Exception):
    """Not here or not now: 200, and the client comes again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Refused(Exception):
    """The client is to stop."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Visit:
    """One client's wish to follow one order."""

    claims: Claims
    account_id: str
    order_id: str
    partition: int
    log: Log
    text: str | None
    cursor: OrderCursor | None

    @property
    def ring(self) -> Ring:
        return self.log.rings[self.partition]


class Routes:
    def __init__(self, hub: Hub, reader: Reader, snapshots: Snapshots, verifier: Verifier) -> None:
        self._hub = hub
        self._reader = reader
        self._snapshots = snapshots
        self._verifier = verifier

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._answers])
        app.router.add_get("/orders/{order_id}/events", self.order_events, allow_head=False)
        return app

    async def order_events(self, request: web.Request) -> web.StreamResponse:
        visit = await self._visit(request)
        snapshot = await self._permit(visit)
        end = await self._end(visit)
        while (plan := verdict.decide(visit.ring, visit.cursor, end, snapshot)) is None:
            snapshot = await self._snapshot(visit)
        if _is_over(visit, plan):
            raise Refused(204, "the order is finished")
        response = web.StreamResponse(headers=sse.HEADERS)
        await response.prepare(request)
        wire = SocketWire(request, self._hub.settings.heartbeat_seconds)
        # The log went on meanwhile. From here to the registration nothing may wait.
        plan = verdict.decide(visit.ring, visit.cursor, end, snapshot)
        if plan is None or self._hub.draining or self._reader.log is not visit.log:
            wire.write(sse.later("drain" if self._hub.draining else "log", self._hub.retry_ms()))
            await response.write_eof()
            return response
        stream = self._stream(visit, wire)
        stream.open(plan, self._hub.retry_ms())
        self._hub.registry.add(stream, visit.order_id)
        self._count("order", visit.text, plan.resume)
        await self._hold(response, stream, wire, visit.claims)
        return response

    async def _visit(self, request: web.Request) -> Visit:
        claims, account_id = await self._caller(request)
        log = self._admit(account_id)
        try:
            order_id = ids.parse(request.match_info["order_id"])
        except ValueError as error:
            raise Refused(404, "there is no such order") from error
        partition = kafka.partition_of(order_id, len(log.rings))
        text = request.headers.get("Last-Event-ID") or request.query.get("lastEventId") or None
        cursor = log.sealer.open_order(text, order_id, account_id, partition) if text else None
        return Visit(claims, account_id, order_id, partition, log, text, cursor)

    async def _caller(self, request: web.Request) -> tuple[Claims, str]:
        token = auth.token_of(request)
        if token is None:
            raise auth.Unauthenticated("the call carries no token")
        claims = await self._verifier.verify(token)
        if claims.account_id is None:
            raise Refused(403, "the token is of no account")
        return claims, claims.account_id

    def _admit(self, account_id: str) -> Log:
        registry, settings = self._hub.registry, self._hub.settings
        if self._hub.draining:
            raise Later("drain")
        if self._reader.log is None:
            raise Later("starting")
        crowded = registry.of_account(account_id) >= settings.most_streams_per_account
        if crowded or len(registry) >= settings.most_streams:
            raise Later("overload")
        return self._reader.log

    async def _permit(self, visit: Visit) -> Snapshot | None:
        """Raise unless the order is the caller's; a snapshot that this took is returned."""
        owner = self._hub.owners.get(visit.order_id) or visit.ring.owner(visit.order_id)
        # A cursor opens for the one account that it was sealed for: so a resume does not need Postgres.
        if owner == visit.account_id or (owner is None and visit.cursor is not None):
            return None
        end = await self._reader.end(visit.partition)
        await self._reach(visit, end)
        if visit.ring.owner(visit.order_id) == visit.account_id:
            return None
        snapshot = await self._snapshot(visit)
        answer = access.decide(
            visit.account_id,
            snapshot.account_id or visit.ring.owner(visit.order_id),
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

    async def _reach(self, visit: Visit, end: int) -> None:
        """Wait a little until this instance has read up to `end`, or the order's owner has turned up."""
        deadline = asyncio.get_running_loop().time() + UNKNOWN_SECONDS
        while visit.ring.pos < end and visit.ring.owner(visit.order_id) is None:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _snapshot(self, visit: Visit) -> Snapshot:
        snapshot = await self._snapshots.order(visit.order_id, visit.partition, visit.log.epoch)
        if snapshot.account_id is not None:
            self._hub.owners.learn(visit.order_id, snapshot.account_id)
        return snapshot

    async def _end(self, visit: Visit) -> int:
        if visit.cursor is None or visit.cursor.next <= visit.ring.pos:
            return visit.ring.pos
        return await self._reader.end(visit.partition)

    def _stream(self, visit: Visit, wire: SocketWire) -> OrderStream:
        return OrderStream(
            visit.order_id,
            visit.account_id,
            partition=visit.partition,
            ring=visit.ring,
            sealer=visit.log.sealer,
            wire=wire,
            greet=self._greeting(visit.claims),
        )

    def _greeting(self, claims: Claims) -> Callable[[sse.Resume], dict[str, Any]]:
        def greet(resume: sse.Resume) -> dict[str, Any]:
            return {
                "resume": resume,
                "liveAt": events.stamp(self._hub.clock.now()),
                "instance": self._hub.settings.process.instance,
                "heartbeatSeconds": self._hub.settings.heartbeat_seconds,
                "expiresAt": events.stamp(claims.expires_at),
            }

        return greet

    async def _hold(self, response: web.StreamResponse, stream: Stream, wire: SocketWire, claims: Claims) -> None:
        """Until the stream is over. When the client leaves, this is cancelled."""
        gauge = self._hub.metrics.streams.labels(stream.kind)
        gauge.inc()
        timers = self._expire(stream, claims)
        reason = "client"
        try:
            reason = await wire.ended()
        finally:
            for timer in timers:
                timer.cancel()
            self._hub.registry.remove(stream)
            gauge.dec()
            self._hub.metrics.closes.labels(reason).inc()
        await _finish(response, wire, stuck=reason == "stuck")

    def _expire(self, stream: Stream, claims: Claims) -> list[asyncio.TimerHandle]:
        left = (claims.expires_at - self._hub.clock.now()).total_seconds()
        when = expiry.plan(left, random.random())
        loop = asyncio.get_running_loop()
        notice = sse.encode({"seconds": round(when.end_in - when.notice_in, 1)})
        return [
            loop.call_later(when.notice_in, stream.tell, "auth.expiring", notice),
            loop.call_later(when.end_in, stream.wire.end, "token"),
        ]

    def _count(self, kind: str, text: str | None, resume: str) -> None:
        self._hub.metrics.connects.labels(kind, "again" if text else "first", resume).inc()

    @web.middleware
    async def _answers(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except Later as error:
            return self._later(error.reason)
        except KafkaAway:
            return self._later("kafka")
        except PostgresAway:
            return self._later("postgres")
        except auth.KeysAway:
            return self._later("issuer")
        except auth.Unauthenticated as error:
            return self._refuse(401, str(error))
        except Refused as error:
            return self._refuse(error.status, error.detail)

    def _later(self, reason: str) -> web.Response:
        self._hub.metrics.turned_away.labels(reason).inc()
        block = sse.later(reason, self._hub.retry_ms(0.5))
        return web.Response(body=block, headers=sse.HEADERS)

    def _refuse(self, status: int, detail: str) -> web.Response:
        self._hub.metrics.refused.labels(str(status)).inc()
        headers = {"Cache-Control": "no-store"}
        if status == 204:
            return web.Response(status=204, headers=headers)
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        problem = {"title": detail, "status": status}
        return web.json_response(problem, status=status, headers=headers, content_type="application/problem+json")


def _is_over(visit: Visit, plan: Plan) -> bool:
    """Whether the client has been shown the end of its order and there is nothing newer."""
    if visit.cursor is None or plan.resume == "gap" or plan.state is not None or plan.ahead is not None:
        return False
    view = View.of(plan)
    news = [entry for entry in visit.ring.of(visit.order_id, plan.join) if view.accept(entry)]
    return view.terminal and not news


async def _finish(response: web.StreamResponse, wire: SocketWire, *, stuck: bool) -> None:
    """End the body; a client that does not take it is cut."""
    if stuck:
        wire.cut()
        return
    try:
        async with asyncio.timeout(_EOF_SECONDS):
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        wire.cut()
