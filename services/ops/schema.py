"""The tables: applies the SQL migrations with dbmate, in order, each once."""

from __future__ import annotations

import asyncio
import shutil
import sys
from importlib import resources
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from services.ops.errors import CommandFailed


async def apply(dsn: str) -> list[str]:
    """Bring the database up to the newest migration; the names of those that were applied now."""
    before = await _pending(dsn)
    if before:
        await _dbmate(dsn, "up", "--strict")
    return before


async def _pending(dsn: str) -> list[str]:
    status = await _dbmate(dsn, "status")
    return [line.removeprefix("[ ]").strip() for line in status.splitlines() if line.startswith("[ ]")]


async def _dbmate(dsn: str, *command: str) -> str:
    migrations = resources.files("schemas") / "migrations"
    arguments = ("--url", dbmate_url(dsn), "--migrations-dir", str(migrations), "--no-dump-schema", *command)
    process = await asyncio.create_subprocess_exec(
        _binary(), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode != 0:
        raise CommandFailed(f"dbmate {command[0]} failed: {(err or out).decode().strip()}")
    return out.decode()


def _binary() -> str:
    beside = Path(sys.executable).with_name("dbmate")
    found = str(beside) if beside.exists() else shutil.which("dbmate")
    if found is None:
        raise CommandFailed("dbmate is not installed: it comes with the extra umbra[ops]")
    return found


def dbmate_url(dsn: str) -> str:
    """The same database as dbmate names it.

    It takes a unix socket as `socket`, where libpq takes `host`, and insists on TLS unless told otherwise:
    here it is told so for this machine only.
    """
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", "")
    if host.startswith("/"):
        query["socket"] = host
    if "socket" in query or parts.hostname in {"127.0.0.1", "localhost", "::1"}:
        query.setdefault("sslmode", "disable")
    return urlunsplit(parts._replace(scheme="postgres", query=urlencode(query, safe="/")))
