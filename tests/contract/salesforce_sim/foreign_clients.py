"""Clients that nobody here wrote, in Python environments of their own: what they need conflicts with what we need.

An environment is built once per lock file and machine, in the user's cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.stack import cache
from tests.contract.salesforce_sim.simulator import Simulator

_SCRIPTS = Path(__file__).with_name("foreign")
_LOCKS = Path(__file__).parents[3] / "requirements"


def environment(name: str) -> Path:
    """The Python of the environment that a lock file under requirements/ describes."""
    lock = _LOCKS / f"{name}.txt"
    told = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = cache.directory(os.environ, Path(".umbra/cache")) / "clients" / f"{name}-{told}"
    home.mkdir(parents=True, exist_ok=True)
    python, stamp = home / "bin" / "python", home / "complete"
    with _alone(home):
        if not stamp.exists():
            venv.create(home, with_pip=False, symlinks=True)
            _install(python, lock)
            stamp.touch()
    return python


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Two runs of the tests may want the same environment at once."""
    with (home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(python: Path, lock: Path) -> None:
    """Exactly what the lock names; it is complete, so nothing is resolved."""
    options = ["--quiet", "--no-deps", "--no-compile", "--require-hashes", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, "-r", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run(python: Path, script: str, *arguments: str, within: float = 120) -> str:
    """What a script writes until it ends well."""
    command = [str(python), str(_SCRIPTS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=within)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@contextmanager
def listening(python: Path, sim: Simulator, client: str, topic: str, start: str) -> Iterator[Listener]:
    """A Pub/Sub client, logged in by SOAP over TLS, on one topic."""
    host, _, port = sim.grpc_tls.replace("127.0.0.1", "localhost").partition(":")
    task = {
        "client": client,
        "url": sim.http,
        "username": sim.username,
        "password": sim.password + sim.security_token,
        "host": host,
        "port": int(port),
        "ca_file": sim.ca_file,
        "topic": topic,
        "start": start,
    }
    command = [str(python), str(_SCRIPTS / "pubsub.py"), json.dumps(task)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield Listener(process)
    finally:
        process.kill()
        process.communicate()


class Listener:
    """A running client and what it says; a test that waits in vain is ended by its time limit."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        if not text:
            raise AssertionError(self._process.communicate()[1][-4000:])
        said: dict[str, Any] = json.loads(text)
        return said


def comparable(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Records by id, however a client writes the time of day."""
    return {record["Id"]: {name: _instant(value) for name, value in record.items()} for record in records}


def _instant(value: Any) -> Any:
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        return datetime.fromisoformat(value)
    return value
