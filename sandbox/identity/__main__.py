"""Runs the identity provider of the sandbox; prints one line of JSON when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp import web

from sandbox.identity import keys
from sandbox.identity.accounts import Accounts
from sandbox.identity.app import Provider
from sandbox.identity.tokens import Issuer

_ORG_TIMEOUT = aiohttp.ClientTimeout(total=3)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.identity", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True, help="where the signing key is kept")
    parser.add_argument("--host", default="127.0.0.1", help="where it listens; another only inside a container")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--salesforce-control", required=True, help="control address of the simulator")
    parser.add_argument("--issuer", default="umbra-sandbox")
    parser.add_argument("--audience", default="umbra")
    return asyncio.run(_serve(parser.parse_args(argv)))


async def _serve(args: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    issuer = Issuer(keys.load_or_make(args.state_dir), args.issuer, args.audience)
    async with aiohttp.ClientSession(timeout=_ORG_TIMEOUT) as session:
        provider = Provider(issuer, Accounts(session, args.salesforce_control), lambda: datetime.now(UTC))
        runner = web.AppRunner(provider.application(), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        await web.TCPSite(runner, args.host, args.port).start()
        _announce(issuer, f"http://{args.host}:{runner.addresses[0][1]}")
        await stop.wait()
        await runner.cleanup()
    return 0


def _announce(issuer: Issuer, address: str) -> None:
    line = {
        "ready": True,
        "http": address,
        "jwks": f"{address}/identity/.well-known/jwks.json",
        "issuer": issuer.issuer,
        "audience": issuer.audience,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
