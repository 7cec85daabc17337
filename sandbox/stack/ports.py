"""TCP ports on 127.0.0.1: finding free ones, and naming who holds one that is not."""

from __future__ import annotations

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
# Below the kernel's range for outgoing connections: a port given to a server that is killed and comes back
# must not be taken meanwhile by somebody's client socket.
_LOWEST, _HIGHEST = 18_000, 32_000


class PortTaken(Exception):
    """A port that was asked for by number is held by another process."""


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Pool:
    """Hands out free ports, each once."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._given: set[int] = set()

    def take(self) -> int:
        for _ in range(1000):
            port = self._random.randint(_LOWEST, _HIGHEST)
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port
        raise PortTaken(f"no free port between {_LOWEST} and {_HIGHEST} on {HOST}")


FREE = Pool()


def holder(port: int) -> str:
    """Who listens on the port, in words ("pid 71 (nginx)"), as far as this user may see."""
    inode = _listening_inode(port)
    for link in Path("/proc").glob("[0-9]*/fd/*") if inode else ():
        try:
            if link.readlink().name == f"socket:[{inode}]":
                pid = link.parts[2]
                return f"pid {pid} ({Path('/proc', pid, 'comm').read_text().strip()})"
        except OSError:
            continue
    return "another process"


def _listening_inode(port: int) -> str | None:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for row in table.read_text().splitlines()[1:]:
            column = row.split()
            if column[3] == "0A" and int(column[1].rpartition(":")[2], 16) == port:
                return column[9]
    return None
