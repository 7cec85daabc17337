"""The provisioning system as a process of its own, on a real Kafka and the simulated org."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from sandbox.fulfilment.drafts import GROUP
from schemas import events, topics, versions
from services.kernel.kafka import partition_of
from tests.contract.salesforce_sim import simulator
from tests.contract.salesforce_sim.simulator import Simulator
from tests.integration.fulfilment.desk import Desk, open_desk
from tests.support import stack
from tests.support.eventually import eventually


def partition(order_id: str) -> int:
    return partition_of(order_id, topics.ORDER_STATUS.partitions)


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with simulator.running(tmp_path_factory.mktemp("org") / "state") as running:
        yield running


@dataclass(frozen=True, slots=True)
class World:
    org: Simulator
    desk: Desk
    producer: AIOKafkaProducer
    admin: AIOKafkaAdminClient
    environ: dict[str, str]
    log: Path

    def new_order(self) -> str:
        account = self.org.do("GET", "/demo/accounts")["accounts"][0]["account_id"]
        fields = {"AccountId": account, "Status": "Draft", "EffectiveDate": "2026-11-25"}
        return str(self.org.do("POST", "/records/Order", fields)["Id"])

    def status(self, order_id: str) -> str:
        return str(self.org.do("GET", f"/records/Order/{order_id}")["Status"])

    async def finish_another(self, than: str) -> None:
        """Returns when the group has committed its place behind an order that had nothing left to do."""
        order = self.new_order()
        while partition(order) == partition(than):
            order = self.new_order()
        self.org.do("POST", f"/orders/{order}/status", {"status": "Cancelled"})
        place = await self.announce(order)

        async def passed() -> bool:
            kept = await self.admin.list_consumer_group_offsets(GROUP)
            return place in kept and kept[place].offset > 0

        await eventually(passed, within=20)

    async def announce(self, order_id: str) -> TopicPartition:
        """The Draft as the gateway writes it."""
        now = datetime.now(UTC)
        version = versions.status_version(
            versions.millis(now), "fulfilment", commit_number=0, sequence=0, terminal=False, event_id=order_id
        )
        status = events.OrderStatus(
            id=order_id,
            order_id=order_id,
            status="Draft",
            terminal=False,
            occurred_at=now,
            source="salesforce",
            version=version,
        )
        message = events.encode(status, source="/umbra/test", now=now)
        topic = topics.ORDER_STATUS.name
        sent = await self.producer.send_and_wait(topic, message.value, message.key, headers=message.headers)
        return TopicPartition(topic, sent.partition)

    @asynccontextmanager
    async def fulfilment(self, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "sandbox.fulfilment", "--delay", "0.05", *options),
                env={**os.environ, **self.environ},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), 30)
            assert b'"ready": true' in line, self.log.read_text()
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()


@pytest.fixture
async def world(org: Simulator, kafka_bootstrap: str, postgres_dsn: str, tmp_path: Path) -> AsyncIterator[World]:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    await producer.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    async with open_desk() as desk:
        environ = {
            "UMBRA_KAFKA_BOOTSTRAP": kafka_bootstrap,
            "UMBRA_GATEWAY_URL": desk.address,
            "UMBRA_IDENTITY_URL": f"{desk.address}/identity",
            "UMBRA_SALESFORCE_LOGIN_URL": org.http,
            "UMBRA_SALESFORCE_CLIENT_ID": org.client_id,
            "UMBRA_SALESFORCE_CLIENT_SECRET": org.client_secret,
        }
        yield World(org, desk, producer, admin, environ, tmp_path / "fulfilment.log")
    await producer.stop()
    await admin.close()
    org.do("POST", "/switch", {"salesforce": "on"})


async def test_new_order_is_activated_in_the_org_and_reported_step_by_step(world: World) -> None:
    async with world.fulfilment():
        order = world.new_order()
        await world.announce(order)

        await eventually(lambda: world.desk.statuses(order) == ["Activating", "Activated"], within=20)

    assert world.status(order) == "Activated"


async def test_order_told_twice_is_provisioned_once(world: World) -> None:
    async with world.fulfilment():
        order, after = world.new_order(), world.new_order()
        await world.announce(order)
        await world.announce(order)
        await world.announce(after)

        await eventually(lambda: "Activated" in world.desk.statuses(after), within=20)
        await eventually(lambda: "Activated" in world.desk.statuses(order), within=20)

    assert world.desk.statuses(order) == ["Activating", "Activated"]


async def test_order_from_before_the_first_start_is_left_alone(world: World) -> None:
    seeded = next(row["Id"] for row in world.org.query("SELECT Id FROM Order WHERE Status = 'Draft'"))
    async with world.fulfilment():
        await world.announce(seeded)
        after = world.new_order()
        await world.announce(after)

        await eventually(lambda: "Activated" in world.desk.statuses(after), within=20)

    assert world.status(seeded) == "Draft"
    assert world.desk.statuses(seeded) == []


async def test_order_placed_while_it_was_stopped_is_found_at_the_next_start(world: World) -> None:
    async with world.fulfilment():
        pass
    order = world.new_order()
    await world.announce(order)

    async with world.fulfilment():
        await eventually(lambda: world.desk.statuses(order) == ["Activating", "Activated"], within=20)


async def test_killed_half_way_it_finishes_the_order_under_the_same_keys(world: World) -> None:
    async with world.fulfilment() as process:
        world.desk.away = True
        order = world.new_order()
        await world.announce(order)
        await eventually(lambda: world.status(order) == "Activating", within=20)
        await world.finish_another(than=order)
        process.kill()
        await process.wait()
    world.desk.away = False

    async with world.fulfilment():
        await eventually(lambda: world.desk.statuses(order) == ["Activating", "Activated"], within=20)

    assert len({report.key for report in world.desk.reports if report.order_id == order}) == 2


async def test_with_salesforce_away_it_waits_and_goes_on(world: World) -> None:
    async with world.fulfilment():
        order = world.new_order()
        world.org.do("POST", "/switch", {"salesforce": "off"})
        await world.announce(order)
        await eventually(lambda: "trying again" in world.log.read_text(), within=20)
        world.org.do("POST", "/switch", {"salesforce": "on"})

        await eventually(lambda: world.desk.statuses(order) == ["Activating", "Activated"], within=30)


async def test_order_that_somebody_cancels_meanwhile_stays_cancelled(world: World) -> None:
    async with world.fulfilment("--delay", "1"):
        order = world.new_order()
        await world.announce(order)
        await eventually(lambda: world.desk.statuses(order) == ["Activating"], within=20)
        world.org.do("POST", f"/orders/{order}/status", {"status": "Cancelled"})
        after = world.new_order()
        await world.announce(after)
        await eventually(lambda: "Activated" in world.desk.statuses(after), within=30)

    assert world.status(order) == "Cancelled"
    assert world.desk.statuses(order) == ["Activating"]


async def test_failing_order_says_that_no_line_is_available(world: World) -> None:
    async with world.fulfilment("--fail-every", "1"):
        order = world.new_order()
        await world.announce(order)

        await eventually(lambda: "Failed" in world.desk.statuses(order), within=20)

    assert [report.reason for report in world.desk.reports if report.order_id == order] == [None, "LINE_UNAVAILABLE"]
    assert world.status(order) == "Failed"


async def test_sigterm_ends_it_with_code_zero(world: World) -> None:
    async with world.fulfilment() as process:
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 10)

    assert code == 0
