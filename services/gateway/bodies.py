"""Request bodies, decoded into their types or refused."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from aiohttp import web

from services.gateway import problems
from services.gateway.problems import Problem

T = TypeVar("T")

LARGEST_BODY = 65_536
IDEMPOTENCY_KEY = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def of(request: web.Request, decoder: msgspec.json.Decoder[T]) -> T:
    """Only JSON: a form on a foreign page cannot send it without asking first. Raises Problem."""
    if request.content_type != "application/json":
        raise Problem(415, "unsupported-media-type", "The body must be application/json")
    try:
        return decoder.decode(await request.read())
    except msgspec.ValidationError as error:
        raise problems.bad_request(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise problems.bad_request("The body is no JSON.") from error


def idempotency_key(request: web.Request) -> str | None:
    """The caller's key; None without the header. Raises Problem for one that is no key."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not _KEY.fullmatch(key):
        raise problems.bad_request(f"{IDEMPOTENCY_KEY} is 1 to 255 visible ASCII characters")
    return key
