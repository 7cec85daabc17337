"""Where downloaded and computed things live that any checkout may share: jars and the JVM's class cache."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def directory(environ: Mapping[str, str], fallback: Path) -> Path:
    """The user's cache directory for this project, or `fallback` where the home cannot be written."""
    for candidate in _candidates(environ):
        if _usable(candidate):
            return candidate / "umbra"
    return fallback


def _candidates(environ: Mapping[str, str]) -> list[Path]:
    xdg, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    found = [Path(xdg)] if os.path.isabs(xdg) else []
    return [*found, Path(home) / ".cache"] if os.path.isabs(home) else found


def _usable(path: Path) -> bool:
    try:
        (path / "umbra").mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(path / "umbra", os.W_OK)
