"""Who opens a stream, and whether this instance takes him: by token, by cookie or by ticket."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from services.kernel import auth
from services.kernel.auth import Claims, Verifier
from services.notifier import tickets
from services.notifier.answers import Later, Refused
from services.notifier.hub import Hub
from services.notifier.log import Log
from services.notifier.reader import Reader
from services.notifier.tickets import Tickets, Use


@dataclass(frozen=True, slots=True)
class Caller:
    """use: of the ticket that he came with, None for a token"""

    claims: Claims
    account_id: str
    use: Use | None = None


class Callers:
    def __init__(self, hub: Hub, reader: Reader, verifier: Verifier, issued: Tickets) -> None:
        self._hub = hub
        self._reader = reader
        self._verifier = verifier
        self._tickets = issued

    async def of(self, request: web.Request) -> Caller:
        """Raises Unauthenticated, Refused, or what is away."""
        ticket = request.query.get(tickets.PARAMETER)
        if ticket is None or auth.token_of(request) is not None:
            return await self.by_token(request)
        claims, use = await self._tickets.redeem(ticket, request.path)
        return Caller(claims, claims.account_id or "", use)

    async def by_token(self, request: web.Request) -> Caller:
        token = auth.token_of(request)
        if token is None:
            raise auth.Unauthenticated("the call carries no token")
        claims = await self._verifier.verify(token)
        if claims.account_id is None:
            raise Refused(403, "the token is of no account")
        return Caller(claims, claims.account_id)

    def admit(self, caller: Caller) -> Log:
        """The log to read from; Later when this instance has none, is stopping, or is full."""
        registry, settings = self._hub.registry, self._hub.settings
        if self._hub.draining:
            raise Later("drain")
        if self._reader.log is None:
            raise Later("starting")
        crowded = registry.of_account(caller.account_id) >= settings.most_streams_per_account
        if crowded or len(registry) >= settings.most_streams:
            raise Later("overload")
        return self._reader.log


def cursor_text(request: web.Request) -> str | None:
    """The cursor: a browser's own reconnect sends the header; a new EventSource can only put it into the address."""
    return request.headers.get("Last-Event-ID") or request.query.get("lastEventId") or None
