"""Entries as tests need them."""

from __future__ import annotations

from typing import Any

from services.gateway import entry as entries
from services.gateway.entry import Entry

NOW = 1_790_000_000_000


def entry(age_s: float = 0, unread_s: float = 0, body: bytes = b"{}", **more: Any) -> Entry:
    """An entry that is `age_s` old by its as-of and was read `unread_s` ago."""
    return entries.entry(body, as_of_ms=NOW - int(age_s * 1000), read_ms=NOW - int(unread_s * 1000), **more)
