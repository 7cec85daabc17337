"""HTTP answers told apart by what to do about them: try again later, or leave the order alone."""

from __future__ import annotations

from typing import Any

import aiohttp

_TIMEOUT = aiohttp.ClientTimeout(total=15)


class Away(Exception):
    """The other side did not answer, or could not now. Trying again later may help."""


class Expired(Away):
    """The token is no longer good. A new one helps."""


class NotFound(Exception):
    """There is no such thing there, or not yet; who asked knows which."""


class Refused(Exception):
    """The other side understood and said no. Trying again does not help."""


async def call(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> Any:
    """The JSON of a 2xx answer, None where it is empty. Raises Away, Expired, NotFound or Refused."""
    try:
        async with session.request(method, url, timeout=_TIMEOUT, **options) as answer:
            body = await answer.read()
            if answer.status >= 400:
                raise _failure(answer.status, f"{method} {answer.url.path} answered {answer.status}", body)
            return await answer.json(content_type=None) if body else None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Away(f"{method} {url} did not answer: {error or type(error).__name__}") from error


def _failure(status: int, what: str, body: bytes) -> Exception:
    if status == 401:
        return Expired(what)
    if status == 404:
        return NotFound(what)
    if status in (408, 425, 429) or status >= 500:
        return Away(what)
    return Refused(f"{what}: {body[:300].decode(errors='replace')}")
