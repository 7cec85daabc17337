"""Silence ends a wait, and what was heard in time is handed on."""

from __future__ import annotations

import asyncio
import logging

import pytest

from services.ingestor import watchdog
from services.ingestor.watchdog import Silent


async def test_what_is_heard_in_time_is_returned() -> None:
    async def receive() -> str:
        return "event"

    assert await watchdog.heard(receive(), warn=1, tear=2, name="t") == "event"


async def test_silence_is_warned_of_and_then_ends_the_wait(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    async def receive() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with caplog.at_level(logging.WARNING), pytest.raises(Silent):
        await watchdog.heard(receive(), warn=0.01, tear=0.02, name="t")

    await asyncio.wait_for(ended.wait(), 1)
    assert "stream is silent" in caplog.text


async def test_error_of_the_stream_is_its_own() -> None:
    async def receive() -> None:
        raise ConnectionError("broken")

    with pytest.raises(ConnectionError):
        await watchdog.heard(receive(), warn=1, tear=2, name="t")
