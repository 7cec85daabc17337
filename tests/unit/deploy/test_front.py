"""The front port in containers sends requests where the local one does."""

from __future__ import annotations

import re
from pathlib import Path

from sandbox.stack import front

ROOT = Path(__file__).resolve().parents[3]
_MATCHER = re.compile(r"^\s*@(\w+) path (.+)$", re.MULTILINE)
_HANDLE = re.compile(r"^\s*handle (\S+) \{$", re.MULTILINE)


def test_the_same_paths_go_to_the_same_kind_of_service() -> None:
    deployed = (ROOT / "deploy" / "proxies" / "Caddyfile").read_text(encoding="utf-8")
    local = front.caddyfile(
        8080, front.Routes(gateways=["g:1"], notifiers=["n:1"], identity="i:1", portal=Path("portal"))
    )

    assert _MATCHER.findall(deployed) == _MATCHER.findall(local)
    assert _HANDLE.findall(deployed) == _HANDLE.findall(local)
