"""A reader of an order's stream that behaves as a browser does: it goes on from its last id, whatever breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp


@dataclass(slots=True)
class Frame:
    event: str = "message"
    data: str = ""
    id: str | None = None
    retry: int | None = None


async def frames(lines: AsyncIterable[bytes]) -> AsyncIterator[Frame]:
    """Parse a stream by the rules of server-sent events; an unfinished block at the end is dropped."""
    frame = Frame()
    async for raw in lines:
        line = raw.decode().rstrip("\n")
        if not line:
            yield frame
            frame = Frame()
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                frame.event = value
            case "data":
                frame.data = value
            case "id":
                frame.id = value
            case "retry":
                frame.retry = int(value)


@dataclass(slots=True)
class Reader:
    """Follows one stream until it is cancelled. `shown` is every order.update, in the order of arrival."""

    session: aiohttp.ClientSession
    url: str
    headers: dict[str, str]
    shown: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    instances: list[str] = field(default_factory=list)
    connects: int = 0
    refused: list[int] = field(default_factory=list)
    _last_id: str | None = None
    _retry: float = 0.3

    async def follow(self) -> None:
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self._once()
            await asyncio.sleep(min(self._retry, 1.0))

    async def _once(self) -> None:
        headers = self.headers | ({"Last-Event-ID": self._last_id} if self._last_id else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        async with self.session.get(self.url, headers=headers, timeout=timeout) as answer:
            if answer.status != 200:
                self.refused.append(answer.status)
                return
            self.connects += 1
            async for frame in frames(answer.content):
                self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.retry is not None:
            self._retry = frame.retry / 1000
        if frame.id is not None:
            self._last_id = frame.id
        if frame.event == "order.update":
            self.shown.append(json.loads(frame.data))
        if frame.event == "stream":
            first = json.loads(frame.data)
            self.verdicts.append(first.get("resume", ""))
            self.instances.append(first.get("instance", ""))
