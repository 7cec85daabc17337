"""Commands of more than one word: the common flags are understood before and after the second."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def word(doing: Any, name: str, text: str) -> argparse.ArgumentParser:
    """The parser of a second word, with the common flags; one that is not given leaves what stood before it."""
    sub: argparse.ArgumentParser = doing.add_parser(name, help=text, description=text)
    sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON for a program")
    sub.add_argument("--state-dir", type=Path, default=argparse.SUPPRESS, help="of the local stack")
    return sub
