"""A missing browser may be overlooked by a person, never by a build."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import browser


def test_missing_browser_is_a_skip_that_says_so_on_a_persons_machine() -> None:
    with pytest.raises(pytest.skip.Exception, match="BROWSER TESTS DO NOT RUN: none here"):
        browser.give_up("none here", {})


def test_missing_browser_is_a_failure_in_a_build() -> None:
    with pytest.raises(pytest.fail.Exception, match="none here"):
        browser.give_up("none here", {"CI": "true"})


def test_browser_of_the_machine_is_found_by_its_usual_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chrome = tmp_path / "google-chrome"
    chrome.write_text("#!/bin/sh\n")
    chrome.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert browser.on_machine() == chrome
