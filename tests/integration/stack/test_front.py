"""The front port: each path to its service, an instance that is gone skipped, streams passed on at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from sandbox.stack import front
from sandbox.stack.ports import FREE
from sandbox.stack.server import Server
from tests.integration.stack.programs import LISTENER, STREAMER, program


class Backends:
    def __init__(self, state: Path) -> None:
        names = ("gateway-1", "gateway-2", "notifier-1", "notifier-2", "identity")
        sources = {name: STREAMER if name == "notifier-2" else LISTENER for name in names}
        self.servers = {name: Server(program(state, name, source)) for name, source in sources.items()}

    def address(self, name: str) -> str:
        return self.servers[name].program.address


@pytest.fixture
async def backends(tmp_path: Path) -> AsyncIterator[Backends]:
    made = Backends(tmp_path)
    await asyncio.gather(*(server.start() for server in made.servers.values()))
    yield made
    await asyncio.gather(*(server.kill() for server in made.servers.values()))


@pytest.fixture
async def session(tmp_path: Path, backends: Backends) -> AsyncIterator[aiohttp.ClientSession]:
    portal = tmp_path / "the portal"
    portal.mkdir()
    (portal / "index.html").write_text("<title>Umbra</title>")
    routes = front.Routes(
        gateways=[backends.address("gateway-1"), backends.address("gateway-2")],
        notifiers=[backends.address("notifier-1"), backends.address("notifier-2")],
        identity=backends.address("identity"),
        portal=portal,
    )
    server = Server(await front.prepare(tmp_path, FREE.take(), routes))
    await server.start()
    async with aiohttp.ClientSession(server.program.address) as made:
        yield made
    await server.stop()


async def _text(session: aiohttp.ClientSession, path: str) -> str:
    async with session.get(path) as answer:
        return await answer.text()


@pytest.mark.parametrize(
    ("path", "backend"),
    [
        ("/orders", "gateway"),
        ("/orders/801000000000001AAA", "gateway"),
        ("/catalog/products", "gateway"),
        ("/accounts/001000000000001AAA/eligibility", "gateway"),
        ("/openapi.json", "gateway"),
        ("/identity/me", "identity"),
        ("/", "<title>Umbra</title>"),
    ],
)
async def test_each_path_reaches_its_service(session: aiohttp.ClientSession, path: str, backend: str) -> None:
    assert (await _text(session, path)).startswith(backend)


@pytest.mark.parametrize("path", ["/docs", "/metrics", "/health/live", "/ordersx", "/catalogue"])
async def test_what_is_not_public_is_not_there(session: aiohttp.ClientSession, path: str) -> None:
    async with session.get(path) as answer:
        assert answer.status == 404


async def test_requests_alternate_and_survive_the_death_of_an_instance(
    session: aiohttp.ClientSession, backends: Backends
) -> None:
    assert {await _text(session, "/catalog/products") for _ in range(4)} == {"gateway-1", "gateway-2"}

    await backends.servers["gateway-1"].kill()

    assert {await _text(session, "/catalog/products") for _ in range(20)} == {"gateway-2"}
    async with session.post("/orders", json={}) as answer:
        assert await answer.text() == "gateway-2"


async def test_first_frame_of_a_stream_comes_while_the_stream_goes_on(
    session: aiohttp.ClientSession, backends: Backends
) -> None:
    await backends.servers["notifier-1"].kill()

    async with session.get("/orders/801000000000001AAA/events") as stream:
        assert await asyncio.wait_for(stream.content.readline(), 5) == b"data: first\n"
