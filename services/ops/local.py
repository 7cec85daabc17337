"""The settings of a local stack that runs, so that a second terminal needs none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

DEFAULT_STATE_DIR = ".umbra"


def environment(environ: Mapping[str, str], state_dir: Path) -> dict[str, str]:
    """`environ`, with the local stack's addresses for what it does not set."""
    try:
        state = json.loads((state_dir / "state.json").read_text())
    except FileNotFoundError:
        return dict(environ)
    runs = state["phase"] in {"starting", "ready"}
    return {**state["environment"], **environ} if runs else dict(environ)
