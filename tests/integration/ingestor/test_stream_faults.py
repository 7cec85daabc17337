"""Whatever Pub/Sub does to a stream: nothing is lost, nothing is doubled that was not, and nobody is hammered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sandbox.salesforce.faults import pubsub
from sandbox.salesforce.faults.fault import Fault
from sandbox.stack import kafka as kafka_stack
from schemas import topics
from schemas.events import RecordChange
from tests.integration.ingestor import harness
from tests.integration.ingestor.harness import Ingestor, Log, duplicates
from tests.support import stack
from tests.support.eventually import eventually
from tests.support.faults import Faults
from tests.support.salesforce_sim import Simulator

pytestmark = pytest.mark.long

PRODUCTS = "/data/Product2ChangeEvent"
IMPATIENT = {"UMBRA_STREAM_SILENT_WARN_SECONDS": "0.5", "UMBRA_STREAM_SILENT_SECONDS": "1.5"}


@pytest.fixture
def faults(sim: Simulator) -> Faults:
    return Faults(sim.control)


def products(sim: Simulator, *names: str) -> list[str]:
    return [str(sim.do("POST", "/records/Product2", {"Name": name})["Id"]) for name in names]


async def in_log(log: Log, *record_ids: str, within: float = 20.0) -> list[RecordChange]:
    async def found() -> list[RecordChange]:
        changes = await log.changes("Product2")
        missing = set(record_ids) - {change.record_id for change in changes}
        assert not missing, f"{len(missing)} are missing"
        return changes

    changes = await eventually(found, within=within)
    assert isinstance(changes, list)
    return changes


async def counts(ingestor: Ingestor, name: str, atleast: float = 1, **labels: str) -> None:
    async def enough() -> bool:
        return await ingestor.metric(name, **labels) >= atleast

    await eventually(enough, within=20)


@pytest.mark.parametrize(
    "fault",
    [
        pubsub.Cut(match=PRODUCTS, how="rst_stream", after=1, count=2),
        pubsub.Cut(match=PRODUCTS, how="connection", after=1, count=2),
        pubsub.End(match=PRODUCTS, after=1, count=2),
        pubsub.Error(match=PRODUCTS, code="service.unavailable", at="stream", after=1, count=2),
        pubsub.Error(match=PRODUCTS, code="subscription.internal.error", at="stream", after=1, count=2),
        pubsub.Error(match=PRODUCTS, code="subscription.fetch.replay.repeated", at="stream", after=1, count=2),
        pubsub.Error(match=PRODUCTS, code="service.auth.error", at="stream", after=1, count=2),
        pubsub.Slices(match=PRODUCTS, events=1, count=50),
    ],
    ids=lambda fault: getattr(fault, "code", None) or getattr(fault, "how", None) or type(fault).__name__,
)
async def test_stream_that_breaks_goes_on_where_it_was(
    log: Log, sim: Simulator, ingestor: Ingestor, faults: Faults, fault: Fault
) -> None:
    (armed,) = faults.arm(fault)

    made = [products(sim, f"{turn}-{n}") for turn in range(3) for n in range(3)]

    changes = await in_log(log, *(record_id for some in made for record_id in some))
    assert faults.hits(armed) >= 1
    assert duplicates(changes) == []
    assert await log.dead_letters() == []


@pytest.mark.parametrize(
    "fault", [pubsub.Cut(how="black_hole", match=PRODUCTS, count=1), pubsub.Stall(match=PRODUCTS, count=1)], ids=str
)
async def test_stream_that_falls_silent_is_opened_again_on_another_connection(
    log: Log, sim: Simulator, environ: dict[str, str], faults: Faults, tmp_path: Path, fault: Fault
) -> None:
    async with harness.ingesting({**environ, **IMPATIENT}, tmp_path / "log") as ingestor:
        await ingestor.ready()
        (armed,) = faults.arm(fault)
        await eventually(lambda: faults.hits(armed) >= 1, within=15)

        await in_log(log, *products(sim, "After"))
        assert await ingestor.metric("ingest_disconnects_total", topic=PRODUCTS, reason="Silent") >= 1


async def test_stream_that_always_ends_is_not_hammered(
    log: Log, sim: Simulator, ingestor: Ingestor, faults: Faults
) -> None:
    (armed,) = faults.arm(pubsub.End(match=PRODUCTS, after=1))
    products(sim, *(f"P{n}" for n in range(30)))

    await asyncio.sleep(6)

    assert 2 <= faults.hits(armed) <= 7


async def test_token_is_renewed_while_nothing_but_quiet_streams_uses_it(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    async with harness.ingesting({**environ, "UMBRA_SALESFORCE_TOKEN_SECONDS": "1"}, tmp_path / "log") as ingestor:
        await ingestor.ready()
        before = await ingestor.metric("salesforce_requests_total", route="login", outcome="ok")

        await counts(ingestor, "salesforce_requests_total", before + 2, route="login", outcome="ok")
        assert await ingestor.metric("ingest_disconnects_total") == 0


async def test_channel_of_all_objects_stands_for_their_topics(
    log: Log, sim: Simulator, environ: dict[str, str], tmp_path: Path
) -> None:
    sim.do("POST", "/oddities", {"multi_entity": True})
    wanted = {"UMBRA_STREAM_TOPICS": f"{topics.CHANNEL},/event/Order_Status__e"}
    async with harness.ingesting({**environ, **wanted}, tmp_path / "log") as ingestor:
        await ingestor.ready()
        made = products(sim, "Of the channel")
        account = sim.do("GET", "/records/Account")["records"][0]["Id"]
        sim.do("PATCH", f"/records/Account/{account}", {"Eligibility_Source__c": "survey"})

        await in_log(log, *made)

        async def accounts() -> bool:
            return account in {change.record_id for change in await log.changes("Account")}

        await eventually(accounts)

        async def covered() -> bool:
            """A change of one object covers them all, once it is later than the start of the stream."""
            products(sim, "Later")
            marks = [mark for name in ("Product2", "Account") for mark in await log.watermarks(name)]
            return {mark.object for mark in marks if mark.basis == "stream"} == {"Product2", "Account"}

        await eventually(covered)

    position = (await log.checkpoints(topics.CHANNEL))[-1]
    assert position.replay_id
    for name in ("Product2", "Account"):
        marks = await log.watermarks(name)
        (hole,) = {mark.hole_id for mark in marks if mark.basis == "hole"}
        assert (hole or "").startswith(f"first:{topics.CHANNEL}")


async def test_channel_beside_a_topic_that_it_carries_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    wanted = {**environ, "UMBRA_STREAM_TOPICS": f"{topics.CHANNEL},{PRODUCTS}"}
    async with harness.ingesting(wanted, tmp_path / "log") as ingestor, asyncio.timeout(10):
        assert await ingestor.process.wait() == 2


async def test_broker_that_is_away_ends_the_credit_and_not_the_memory(
    sim: Simulator, postgres_dsn: str, valkey_url: str, tmp_path: Path
) -> None:
    with stack.scratch("broker") as state:
        async with kafka_stack.running(state) as broker:
            await stack.fresh_topics(broker.bootstrap, postgres_dsn)
            environ = harness.environment(sim, broker.bootstrap, valkey_url)
            async with harness.ingesting(environ, tmp_path / "log") as ingestor:
                await ingestor.ready()
                await broker.stop()
                made = products(sim, *(f"P{n}" for n in range(300)))
                await asyncio.sleep(12)  # longer than a transaction may take: it is given up meanwhile
                assert sim.do("GET", "/state")["delivered_events"].get(PRODUCTS, 0) <= 100

                await broker.start()
                changes = await in_log(Log(broker.bootstrap), *made, within=60)

    assert duplicates(changes) == []
