"""Wires one org to its ports and runs until SIGTERM or SIGINT."""

import asyncio
import logging
import signal
import ssl
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from sandbox.salesforce import identity, tls
from sandbox.salesforce.bulk_jobs import BulkJobs, BulkSettings
from sandbox.salesforce.clock import Clock
from sandbox.salesforce.control.app import make_app as make_control
from sandbox.salesforce.faults import catalog
from sandbox.salesforce.identity import write_private
from sandbox.salesforce.instance import API_VERSION, Instance, Spawn
from sandbox.salesforce.org import Behaviour, Org, open_org
from sandbox.salesforce.pubsub.gate import Gate
from sandbox.salesforce.pubsub.server import start as start_grpc
from sandbox.salesforce.rest.app import make_app as make_rest
from sandbox.salesforce.seed.plant import Planter
from sandbox.salesforce.sessions import Sessions
from sandbox.salesforce.switch import Switch
from sandbox.salesforce.usage import Allowances, Usage

_log = logging.getLogger("sandbox.salesforce")
_USAGE = "usage.json"
_GRACE_S = 1.0  # streams and requests in flight get this long at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line said."""

    state_dir: Path
    products: int
    accounts: int
    seed: int
    host: str
    http_port: int
    https_port: int
    grpc_port: int
    grpc_tls_port: int
    control_port: int
    tls_names: tuple[str, ...]
    client_id: str | None
    client_secret: str | None
    behaviour: Behaviour
    allowances: Allowances
    bulk: BulkSettings
    faults: Path | None


async def serve(options: Options) -> None:
    """Returns after SIGTERM or SIGINT; raises what a background task raised."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        tasks: set[asyncio.Task[None]] = set()

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            task = group.create_task(work, name=name)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            return task

        instance, ready = await _open(options, stack, spawn)
        spawn(_save_usage(instance), "save-usage")
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()
        _log.info("stopping")
        instance.switch.set(on=False)  # ends every open stream
        for task in tuple(tasks):
            task.cancel()


async def _save_usage(instance: Instance) -> None:
    """Once a second and at the end: what a kill may lose of the counts is a second's worth."""
    path = instance.state_dir / _USAGE
    saved = b""
    try:
        while True:
            await asyncio.sleep(1)
            if (now := instance.usage.saved()) != saved:
                saved = now
                write_private(path, saved)
    finally:
        write_private(path, instance.usage.saved())


async def _open(options: Options, stack: AsyncExitStack, spawn: Spawn) -> tuple[Instance, dict[str, object]]:
    options.state_dir.mkdir(parents=True, exist_ok=True)
    who = identity.load_or_create(options.state_dir, options.client_id, options.client_secret)
    key_file = identity.login_key_file(options.state_dir)
    files = tls.load_or_create(options.state_dir, (options.host, *options.tls_names))
    clock = Clock()
    org, journal, known = open_org(options.state_dir, who.org_id, who.user_id, clock, options.behaviour)
    stack.callback(journal.close)
    if not known:
        Planter(org).plant(options.products, options.accounts, options.seed)
    org.compact()
    instance = Instance(
        org=org,
        identity=who,
        login_key=_public_key(key_file),
        sessions=Sessions(
            who.org_id,
            bytes.fromhex(who.token_key),
            clock,
            options.behaviour.session_s,
            options.state_dir / "revoked.json",
        ),
        usage=Usage(clock, options.allowances),
        switch=Switch(),
        state_dir=options.state_dir,
        spawn=spawn,
        gate=Gate(),
    )
    instance.usage.load(options.state_dir / _USAGE)
    for fault in [] if options.faults is None else catalog.read(options.faults.read_bytes()):
        instance.faults.arm(fault)
    http, https = await _serve_http(instance, options, files, stack)
    control_port = await _serve_control(instance, options, stack)
    grpc_port, grpc_tls_port = await _serve_grpc(instance, options, files, stack)
    _log.info("ready: %d records", _count(org))
    ports = (http, https, grpc_port, grpc_tls_port, control_port)
    return instance, _ready(who, options.host, ports, files.ca, key_file)


def _ready(who: identity.Identity, host: str, ports: tuple[int, ...], ca: Path, key: Path) -> dict[str, object]:
    """The line that tells callers where the org is and how to log in."""
    http, https, grpc_port, grpc_tls_port, control_port = ports
    shown = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - compared, not bound
    return {
        "ready": True,
        "http": f"http://{shown}:{http}",
        "https": f"https://{shown}:{https}",
        "grpc": f"{shown}:{grpc_port}",
        "grpc_tls": f"{shown}:{grpc_tls_port}",
        "control": f"http://127.0.0.1:{control_port}",
        "ca_file": str(ca.resolve()),
        "client_id": who.client_id,
        "client_secret": who.client_secret,
        "username": who.username,
        "password": who.password,
        "security_token": who.security_token,
        "refresh_token": who.refresh_token,
        "private_key_file": str(key.resolve()),
        "org_id": who.org_id,
        "api_version": API_VERSION,
    }


async def _serve_http(
    instance: Instance, options: Options, files: tls.TlsFiles, stack: AsyncExitStack
) -> tuple[int, int]:
    runner = await _runner(make_rest(instance, BulkJobs(instance, options.bulk)), stack)
    await web.TCPSite(runner, options.host, options.http_port).start()
    await web.TCPSite(runner, options.host, options.https_port, ssl_context=_server_tls(files)).start()
    http, https = (address[1] for address in runner.addresses)
    return http, https


async def _serve_control(instance: Instance, options: Options, stack: AsyncExitStack) -> int:
    runner = await _runner(make_control(instance), stack)
    await web.TCPSite(runner, "127.0.0.1", options.control_port).start()
    return int(runner.addresses[0][1])


async def _runner(app: web.Application, stack: AsyncExitStack) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_S)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


async def _serve_grpc(
    instance: Instance, options: Options, files: tls.TlsFiles, stack: AsyncExitStack
) -> tuple[int, int]:
    server: grpc.aio.Server
    server, instance.gate.upstream_port = await start_grpc(instance)
    stack.push_async_callback(server.stop, _GRACE_S)
    context = _server_tls(files)
    context.set_alpn_protocols(["h2"])
    gate = instance.gate
    plain = await stack.enter_async_context(gate.listening(options.host, options.grpc_port))
    return plain, await stack.enter_async_context(gate.listening(options.host, options.grpc_tls_port, context))


def _server_tls(files: tls.TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    return context


def _public_key(path: Path) -> bytes:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _count(org: Org) -> int:
    return sum(len(table.records) for table in org.store.tables.values())
