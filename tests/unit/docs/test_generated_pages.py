"""The pages made from the code say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import generate


@pytest.mark.parametrize(("path", "text"), list(generate.pages()), ids=lambda value: getattr(value, "name", ""))
def test_page_has_not_drifted(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run `make docs`"
