"""The page on correctness names tests and files that are there, and each counterexample's."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "correctness.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_runs() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    assert {f"c{number}" for number in range(1, 14)} == {name.split("_")[1] for name in named}
    assert [name for name in named if f"def {name}(" not in source] == []


def test_every_file_that_the_page_names_is_there() -> None:
    named = re.findall(r"`((?:tests|sandbox|services)/[\w/.]+)`", PAGE)

    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
