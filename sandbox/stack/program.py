"""What it takes to run one program: the command, where it listens, how one knows that it is ready."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """`ready` is asked again and again while the process lives; an OSError counts as "not yet"."""

    name: str
    argv: tuple[str, ...]
    log: Path
    address: str
    port: int
    ready: Callable[[], Awaitable[bool]]
    # Says where it is by one line of JSON with `"ready": true`, and is not ready before it has.
    announces: bool = False
    # A URL that answers 200 while all is well, where there is one.
    health: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = "-"
    stop_signal: signal.Signals = signal.SIGTERM
    # Sent by the kernel when the supervisor itself is gone.
    death_signal: signal.Signals = signal.SIGKILL
    start_within: float = 60.0
    drain_within: float = 10.0


async def at_once() -> bool:
    return True


async def accepts(host: str, port: int) -> bool:
    """True once something listens. Raises OSError while nothing does."""
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    await writer.wait_closed()
    return True
