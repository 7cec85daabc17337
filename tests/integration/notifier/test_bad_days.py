"""What clients see when something is away, full, slow, or stops: never a status that stops a browser for good."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from sandbox.stack import kafka
from schemas import topics
from tests.integration.notifier import world as worlds
from tests.integration.notifier.world import Client, World, new_order, partition, path, status_of, token
from tests.support import stack
from tests.support.eventually import eventually


class Cable:
    """A TCP connection in front of a server that a test can pull."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def plug(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def pull(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        self._open |= {writer, far_writer}
        await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
        self._open -= {writer, far_writer}


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def told_to_come_again(client: Client, reason: str) -> bool:
    told = client.of("stream")
    return bool(client.status == 200 and told and told[0] == {"resume": "later", "reason": reason})


async def test_postgres_away_breaks_no_exact_resume(world: World) -> None:
    parts = urlsplit(stack.as_role(world.dsn, "umbra_reader"))
    cable = Cable(parts.hostname or "", parts.port or 0)
    await cable.plug()
    dsn = urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{cable.port}"))
    one = await world.start("one", UMBRA_POSTGRES_DSN=dsn)
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    async with world.stream(one, path(order)) as client:
        await client.until(lambda c: c.statuses == ["Draft"])
    await cable.pull()
    await world.publish(status_of(order, 1, "Activating"))

    async with world.stream(one, path(order), cursor=client.last_id) as again:
        await again.until(lambda c: c.statuses == ["Activating"])
        assert again.resume == "exact"
    for unknown in (path(order), path(new_order()), "/orders/events"):
        async with world.stream(one, unknown) as turned_away:
            await turned_away.until(lambda c: told_to_come_again(c, "postgres"))
            assert turned_away.frames[0].retry

    await cable.plug()
    async with world.stream(one, path(order)) as fresh:
        await fresh.until(lambda c: c.statuses == ["Draft", "Activating"])
    await cable.pull()


@contextlib.asynccontextmanager
async def own_broker(tmp_path: Path, dsn: str, valkey_url: str) -> AsyncIterator[tuple[kafka.Broker, World]]:
    async with (
        kafka.running(tmp_path / "k") as broker,
        worlds.world(broker.bootstrap, dsn, valkey_url, tmp_path) as world,
    ):
        yield broker, world


async def test_killed_broker_that_comes_back_loses_and_skips_nothing(
    tmp_path: Path, postgres_dsn: str, valkey_url: str
) -> None:
    async with own_broker(tmp_path, postgres_dsn, valkey_url) as (broker, world):
        one = await world.start("one")
        order = new_order()
        await world.publish(status_of(order, 0, "Draft"))
        async with world.stream(one, path(order)) as client:
            await client.until(lambda c: c.statuses == ["Draft"])
            await broker.kill()
            beats = len(client.of("heartbeat"))
            await client.until(lambda c: len(c.of("heartbeat")) > beats + 2)
            async with world.stream(one, path(order), cursor=client.last_id) as meanwhile:
                await meanwhile.until(lambda c: c.resume == "exact")

            await broker.start()
            for second in range(1, 20):
                await world.publish(status_of(order, second, f"Step{second}"))
            await client.until(lambda c: len(c.statuses) == 20, within=30)

        assert client.statuses == ["Draft"] + [f"Step{second}" for second in range(1, 20)]


async def test_stopping_instance_spreads_its_goodbyes_and_ends_by_itself(world: World) -> None:
    one, two = await world.start("one"), await world.start("two")
    orders = [new_order() for _ in range(20)]
    await world.publish(*(status_of(order, 0, "Draft") for order in orders))
    async with contextlib.AsyncExitStack() as open_streams:
        clients = [await open_streams.enter_async_context(world.stream(one, path(order))) for order in orders]
        for client in clients:
            await client.until(lambda c: c.statuses == ["Draft"])
        one.process.send_signal(signal.SIGTERM)
        async with world.stream(one, path(orders[0])) as late:
            await late.until(lambda c: told_to_come_again(c, "drain"))
        await eventually(lambda: any(client.ended for client in clients))
        assert not all(client.ended for client in clients)
        for client in clients:
            await client.until(lambda c: c.ended)
        assert await asyncio.wait_for(one.process.wait(), 10) == 0

    goodbyes = [client.frames[-1] for client in clients]
    assert all(frame.data == {"resume": "later", "reason": "drain"} for frame in goodbyes)
    assert len({frame.retry for frame in goodbyes}) > 10
    async with world.stream(two, path(orders[0]), cursor=clients[0].last_id) as again:
        await again.until(lambda c: c.resume == "exact")


async def test_full_instance_says_come_again(world: World) -> None:
    one = await world.start("one", UMBRA_MOST_STREAMS="1")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    async with world.stream(one, path(order)) as client:
        await client.until(lambda c: c.statuses == ["Draft"])
        async with world.stream(one, path(order)) as second:
            await second.until(lambda c: told_to_come_again(c, "overload"))


async def test_draft_behind_an_open_transaction_is_not_called_unknown(world: World) -> None:
    one = await world.start("one")
    order = new_order()
    async with worlds.transaction(world) as (publish, commit):
        await publish(status_of(order, 0, "Draft"))
        async with world.stream(one, path(order)) as client:
            await client.until(lambda c: told_to_come_again(c, "unknown"))
        async with world.stream(one, path(order)) as waiting:
            assert waiting.status == 200
        await commit()
    async with world.stream(one, path(order)) as client:
        await client.until(lambda c: c.statuses == ["Draft"])


async def test_stream_ends_before_its_token_and_says_so_ahead(world: World) -> None:
    one = await world.start("one")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    lasts = 4.0
    began = time.monotonic()
    async with world.stream(one, path(order), bearer=token(lasts=lasts)) as client:
        await client.until(lambda c: c.ended, within=lasts)

    assert client.of("auth.expiring")
    assert time.monotonic() - began < lasts


async def test_slow_reader_gets_the_newest_state_and_a_count(world: World) -> None:
    one = await world.start("one", UMBRA_HEARTBEAT_SECONDS="60")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    parts = urlsplit(one.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((parts.hostname, parts.port))
        client.sendall(f"GET {path(order)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n\r\n".encode())
        await eventually(lambda: world.metric(one, "notifier_streams{"), within=5)
        states = 600
        await asyncio.gather(*(world.publish(status_of(order, n, f"Step{n}")) for n in range(1, states)))
        await eventually(lambda: _caught_up(world, one), within=10)
        client.settimeout(5)
        text = await asyncio.to_thread(_read_until, client, f'"Step{states - 1}"')

    shown = [line for line in text.splitlines() if line.startswith("data:") and "Step" in line]
    skipped = sum(int(line.rsplit('"skipped":', 1)[1].rstrip("}")) for line in shown if '"skipped"' in line)
    assert skipped > 0
    assert len(shown) + skipped <= states - 1
    assert f'"Step{states - 1}"' in shown[-1]


async def _caught_up(world: World, one: worlds.Instance) -> bool:
    return await world.metric(one, "notifier_ring_bytes") > 400_000


def _read_until(client: socket.socket, wanted: str) -> str:
    text = ""
    while wanted not in text:
        part = client.recv(2048)
        assert part, text[-500:]
        text += part.decode()
    return text


async def test_client_in_front_of_a_cold_instance_has_a_gap_until_postgres_heals_it(world: World) -> None:
    order = new_order()
    statuses = [status_of(order, n, f"Step{n}") for n in range(8)]
    await world.publish(*statuses)
    one = await world.start("one", UMBRA_RING_WINDOW="2")
    await world.row(statuses[0])
    await world.applied(order, 1)

    async with world.stream(one, path(order)) as client:
        await client.until(lambda c: c.resume == "gap")
        await world.publish(status_of(order, 20, "Live"))
        await client.until(lambda c: c.statuses == ["Live"])
        async with world.stream(one, path(order), cursor=client.last_id) as again:
            await again.until(lambda c: c.resume == "gap")
        await world.applied(order, 9)
        await client.until(lambda c: [told["resume"] for told in c.of("stream")] == ["gap", "snapshot"])
    async with world.stream(one, path(order), cursor=client.last_id) as healed:
        await healed.until(lambda c: c.resume == "exact")
    assert partition(order) < topics.ORDER_STATUS.partitions


async def test_topic_made_anew_closes_the_streams_and_starts_from_a_snapshot(world: World) -> None:
    one = await world.start("one")
    order = new_order()
    await world.publish(*(status_of(order, n, f"Step{n}") for n in range(5)))
    async with world.stream(one, path(order)) as client:
        await client.until(lambda c: len(c.statuses) == 5)
        await stack.fresh_topics(world.bootstrap, world.dsn)
        await client.until(lambda c: c.ended, within=40)
    await eventually(lambda: world.is_ready(one), within=20)
    renewed = status_of(order, 9, "Renewed")
    await world.publish(renewed)

    async with world.stream(one, path(order), cursor=client.last_id) as again:
        await again.until(lambda c: c.statuses == ["Renewed"], within=20)
        assert again.resume == "snapshot"


@pytest.mark.parametrize("own", [True, False], ids=["own order", "all orders"])
async def test_ticket_carries_one_stream_of_one_path(world: World, own: bool) -> None:
    one, two = await world.start("one"), await world.start("two")
    order = new_order()
    await world.publish(status_of(order, 0, "Draft"))
    where = path(order) if own else "/orders/events"
    headers = {"Authorization": f"Bearer {token()}"}
    answer = await world.session.post(f"{one.url}/orders/events/ticket", json={"path": where}, headers=headers)
    assert answer.status == 201
    ticket = (await answer.json())["ticket"]

    async with world.stream(one, where, bearer="", query=f"?ticket={ticket}") as first:
        await first.until(lambda c: c.statuses == ["Draft"])
        async with world.stream(two, where, bearer="", query=f"?ticket={ticket}") as second:
            await second.until(lambda c: c.statuses == ["Draft"])
            await first.until(lambda c: c.ended)
            assert first.frames[-1].data == {"resume": "later", "reason": "replaced"}
            assert not second.ended
    for wrong in (f"{path(new_order())}?ticket={ticket}", f"{where}?ticket=made-up"):
        refused = await world.session.get(one.url + wrong)
        assert refused.status == 401
