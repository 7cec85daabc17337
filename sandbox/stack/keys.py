"""Secrets of one stack, made at its first start and kept with its state."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def cursor_key(state: Path) -> str:
    """The key that signs stream cursors: a client's cursor stays good over a restart."""
    path = state / "cursor.key"
    if not path.exists():
        with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(secrets.token_hex(32))
    return path.read_text()
