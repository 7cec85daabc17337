"""The keys under which services sign what they hand out: stream cursors and write tokens."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.settings import SettingsError, setting

DEMO_KEY = "umbra-demo-cursor-key-known-to-everybody"
"""Stands in the documentation, so it proves nothing."""

_SHORTEST = 32


def _check(keys: tuple[str, ...]) -> str | None:
    if not keys:
        return "needs at least one key"
    if any(len(key) < _SHORTEST for key in keys):
        return f"every key must have at least {_SHORTEST} characters"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningSettings:
    cursor_keys: tuple[str, ...] = setting(
        doc="Keys that sign stream cursors and write tokens, of 32 characters or more: the first seals, all open "
        "(two in a rotation).",
        secret=True,
        check=_check,
    )
    development: bool = setting(default=False, doc="Accepts the demo key that stands in the documentation.")

    def __post_init__(self) -> None:
        if DEMO_KEY in self.cursor_keys and not self.development:
            raise SettingsError("UMBRA_CURSOR_KEYS: the demo key is for development only (UMBRA_DEVELOPMENT=true)")
