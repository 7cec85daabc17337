"""Who calls, and what they may: from the token alone, never from the body."""

from __future__ import annotations

from aiohttp import web

from schemas import ids
from schemas.ids import RecordId
from services.gateway import problems
from services.kernel.auth import Claims, Verifier, check_origin, token_of

ORDERS_WRITE, FULFILMENT = "orders:write", "fulfilment"


class Callers:
    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    async def known(self, request: web.Request) -> Claims:
        """The caller's claims; a changing call by cookie must come from this origin. Raises Problem and auth errors."""
        token = token_of(request)
        if token is None:
            raise problems.unauthenticated()
        check_origin(request)
        return await self._verifier.verify(token)

    async def customer(self, request: web.Request, scope: str | None = None) -> RecordId:
        """The account that the caller acts for."""
        claims = await self.known(request)
        if claims.account_id is None:
            raise problems.forbidden("The token is of no customer.")
        if scope is not None and scope not in claims.scope:
            raise problems.forbidden(f"The token lacks the scope {scope}.")
        return RecordId(claims.account_id)

    async def service(self, request: web.Request, scope: str) -> Claims:
        claims = await self.known(request)
        if scope not in claims.scope:
            raise problems.forbidden(f"The token lacks the scope {scope}.")
        return claims

    async def name(self, request: web.Request) -> str:
        """Whom forced live reads of a public route are counted for: all callers without a token are one."""
        return "anonymous" if token_of(request) is None else (await self.known(request)).sub


def record_id(request: web.Request, name: str, prefix: str) -> RecordId:
    """An id in the address, 18 characters. Raises Problem: 400 for one that is none, 404 for one of another object."""
    try:
        found = ids.parse(request.match_info[name])
    except ValueError as error:
        raise problems.bad_request(str(error)) from error
    if not found.startswith(prefix):
        raise problems.not_found()
    return found
