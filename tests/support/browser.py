"""A Chromium for the tests that need one: the machine's own, else Playwright's download.

None to be had is a skip that says so on a person's machine, and a failure where CI=true.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import pytest
from playwright.async_api import Browser, Playwright, async_playwright

# Names under which distributions and vendors install it, and where macOS keeps it.
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
_BUNDLES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_DOWNLOAD_SECONDS = 120

# For root and for machines without a display; no flag makes it call home.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowser(Exception):
    """There is no Chromium or Chrome here, and none could be downloaded."""


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A headless browser. Skips the test, or with CI=true fails it, where there is none."""
    async with async_playwright() as playwright:
        try:
            executable = _executable(Path(playwright.chromium.executable_path))
        except NoBrowser as missing:
            give_up(str(missing), os.environ)
        browser = await _launch(playwright, executable)
        try:
            yield browser
        finally:
            await browser.close()


async def _launch(playwright: Playwright, executable: Path) -> Browser:
    return await playwright.chromium.launch(executable_path=executable, args=list(FLAGS))


def give_up(why: str, environ: Mapping[str, str]) -> None:
    """Never returns: a missing browser may be overlooked by a person, not by a build."""
    if environ.get("CI", "").lower() == "true":
        pytest.fail(f"BROWSER TESTS CANNOT RUN: {why}")
    pytest.skip(f"BROWSER TESTS DO NOT RUN: {why}")


@cache
def _executable(downloaded: Path) -> Path:
    """Raises NoBrowser."""
    found = on_machine()
    if found is not None:
        return found
    if not downloaded.exists():
        _download()
    if not downloaded.exists():
        raise NoBrowser(f"no Chromium or Chrome on this machine, and {downloaded} is missing")
    return downloaded


def on_machine() -> Path | None:
    named = (shutil.which(name) for name in _NAMES)
    found = next((path for path in named if path), None) or next(
        (path for path in _BUNDLES if Path(path).exists()), None
    )
    return Path(found) if found else None


def _download() -> None:
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoBrowser(f"Playwright's download took longer than {_DOWNLOAD_SECONDS} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoBrowser(f"Playwright's download failed: {last}")
