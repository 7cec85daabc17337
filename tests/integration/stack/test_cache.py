"""Where downloads go: the user's cache, or beside the state where there is no home to write to."""

from __future__ import annotations

from pathlib import Path

from sandbox.stack import cache


def test_xdg_cache_comes_before_the_home(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path / "xdg"), "HOME": str(tmp_path / "home")}

    assert cache.directory(environ, tmp_path) == tmp_path / "xdg" / "umbra"


def test_home_that_is_empty_so_far_is_used(tmp_path: Path) -> None:
    assert cache.directory({"HOME": str(tmp_path)}, tmp_path / "state") == tmp_path / ".cache" / "umbra"


def test_no_home_falls_back_beside_the_state(tmp_path: Path) -> None:
    assert cache.directory({"HOME": ""}, tmp_path / "state") == tmp_path / "state"
    assert cache.directory({"HOME": "/proc/none"}, tmp_path / "state") == tmp_path / "state"
