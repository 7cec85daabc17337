"""Commands of `umbra` as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from tests.integration.ingestor.harness import ROOT


async def start(environ: Mapping[str, str], *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.ops", *words, "--json"),
        env={**os.environ, **environ, "PYTHONPATH": str(ROOT), "UMBRA_STATE_DIR": "/nonexistent"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(environ: Mapping[str, str], *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON that it printed."""
    process = await start(environ, *words)
    out, err = await process.communicate()
    assert process.returncode is not None
    lines = out.decode().splitlines()
    assert len(lines) == 1, err.decode()
    return process.returncode, json.loads(lines[0])
