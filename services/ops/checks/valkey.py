"""Whether Valkey is reachable and drops what is old when it is full."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from redis.exceptions import ResponseError

from services.kernel import valkey
from services.kernel.settings import ValkeySettings
from services.ops.checks.findings import Finding, fail, ok, warn

_SECONDS = 3.0
CHECK = "valkey.memory"


async def examine(settings: ValkeySettings) -> AsyncIterator[Finding]:
    try:
        client = valkey.client(settings, timeout=_SECONDS)
    except ValueError as error:
        yield _away(error)
        return
    try:
        server: Mapping[str, Any] = await client.info("server")
        yield ok("valkey.reachable", _name(server))
        yield memory(await client.info("memory"))
        yield await _scripts(client)
    except valkey.AWAY as error:
        yield _away(error)
    finally:
        await client.aclose()


def _name(server: Mapping[str, Any]) -> str:
    if "valkey_version" in server:
        return f"Valkey {server['valkey_version']}"
    return f"Redis protocol {server.get('redis_version', 'unknown')}"


def _away(error: BaseException) -> Finding:
    detail = f"no Valkey answers: {type(error).__name__} {error}".rstrip()
    return fail("valkey.reachable", detail, "start it, or correct UMBRA_VALKEY_URL (redis://host:port/0)")


def memory(info: Mapping[str, Any]) -> Finding:
    """Everything there can be had elsewhere, so it may be dropped; a full server that drops nothing refuses writes."""
    limit, policy = int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", "noeviction"))
    if limit and policy == "noeviction":
        return warn(
            CHECK,
            f"at {limit // 2**20} MB it refuses writes: answers are cached no more and each process budgets alone",
            "CONFIG SET maxmemory-policy allkeys-lfu, and in its configuration file",
        )
    if not limit:
        return ok(CHECK, "it has no limit, so nothing is dropped")
    return ok(CHECK, f"{limit // 2**20} MB, then {policy}")


async def _scripts(client: Any) -> Finding:
    """The tag cache and the API budget are Lua scripts."""
    try:
        await client.eval("return 1", 0)
    except ResponseError as error:
        return fail("valkey.scripts", f"scripts are refused: {error}", "allow EVAL and EVALSHA to Umbra's user")
    return ok("valkey.scripts", "scripts run")
