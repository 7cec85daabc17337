"""What a caller asks of an answer's age, from its headers."""

from __future__ import annotations

import math

from aiohttp import web

from services.gateway import problems
from services.gateway.freshness import ANY, Demand
from services.gateway.writes import Tokens

MAX_STALENESS, WAIT_FOR = "Umbra-Max-Staleness", "Umbra-Wait-For"
_LONGEST_SECONDS = 10**8


def is_made(request: web.Request) -> bool:
    return MAX_STALENESS in request.headers or WAIT_FOR in request.headers


def of(request: web.Request, caller: str, tokens: Tokens) -> Demand:
    """Raises Problem for headers that say nothing sensible."""
    if not is_made(request):
        return ANY
    staleness, token = request.headers.get(MAX_STALENESS), request.headers.get(WAIT_FOR)
    after = None if token is None else tokens.open(token)
    if token is not None and after is None:
        raise problems.bad_request(f"{WAIT_FOR} is no token of ours")
    return Demand(caller, None if staleness is None else _milliseconds(staleness), after)


def _milliseconds(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _LONGEST_SECONDS:
        raise problems.bad_request(f"{MAX_STALENESS} is a number of seconds, 0 or more")
    return int(value * 1000)
