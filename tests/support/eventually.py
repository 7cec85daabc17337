"""Waiting for a condition with a deadline, in place of sleeping for a guess."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

_POLL_SECONDS = 0.02


@overload
async def eventually(condition: Callable[[], Awaitable[T]], *, within: float = ...) -> T: ...
@overload
async def eventually(condition: Callable[[], T], *, within: float = ...) -> T: ...
async def eventually(condition: Callable[[], object], *, within: float = 5.0) -> object:
    """The first truthy value of `condition`, plain or a coroutine; it may also raise AssertionError until then.

    Fails with the last value or assertion when `within` seconds have passed.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            found = condition()
            value = await found if inspect.isawaitable(found) else found
            if value:
                return value
            reason = AssertionError(f"not within {within} s; last value: {value!r}")
        except AssertionError as error:
            reason = error
        if time.monotonic() > deadline:
            raise reason
        await asyncio.sleep(_POLL_SECONDS)
