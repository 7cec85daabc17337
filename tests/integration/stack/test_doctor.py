"""The doctor's checks of Kafka, PostgreSQL and Valkey, on real servers that are bent one way at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

from schemas import topics
from services.kernel.settings import KafkaSettings, PostgresSettings, ValkeySettings
from services.ops.checks import kafka, postgres, valkey
from services.ops.checks.findings import Finding
from tests.support import stack
from tests.support.eventually import eventually

NOBODY = "127.0.0.1:1"


async def _found(findings: AsyncIterator[Finding]) -> dict[str, Finding]:
    """The worst finding of each check."""
    found: dict[str, Finding] = {}
    async for finding in findings:
        if finding.check not in found or finding.level != "ok":
            found[finding.check] = finding
    return found


async def _kafka(bootstrap: str) -> dict[str, Finding]:
    return await _found(kafka.examine(KafkaSettings(kafka_bootstrap=bootstrap)))


async def _postgres(dsn: str) -> dict[str, Finding]:
    return await _found(postgres.examine(PostgresSettings(postgres_dsn=dsn)))


async def _valkey(url: str) -> dict[str, Finding]:
    return await _found(valkey.examine(ValkeySettings(valkey_url=url)))


async def _bend(bootstrap: str, *, gone: str, other: NewTopic) -> None:
    """Take one topic away, and put another in the place of its namesake; returns once the broker shows both."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:

        async def shown() -> set[str]:
            return {gone, other.name} & set(await admin.list_topics())

        async def there() -> bool:
            return len(await shown()) == 2

        async def away() -> bool:
            return not await shown()

        async def back() -> bool:
            return other.name in await admin.list_topics()

        # A broker shows what the controller has done a little later.
        await eventually(there, within=20)
        await admin.delete_topics([gone, other.name])
        await eventually(away, within=20)
        await admin.create_topics([other])
        await eventually(back, within=20)
    finally:
        await admin.close()


async def test_servers_as_migrate_leaves_them_are_well(
    kafka_bootstrap: str, postgres_dsn: str, valkey_url: str
) -> None:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)

    async def shown() -> bool:
        return (await _kafka(kafka_bootstrap))["kafka.topics"].level == "ok"

    await eventually(shown, within=20)
    found = {**await _kafka(kafka_bootstrap), **await _postgres(postgres_dsn), **await _valkey(valkey_url)}

    assert {check: finding.detail for check, finding in found.items() if finding.level != "ok"} == {}
    assert set(found) == {
        "kafka.reachable",
        "kafka.topics",
        "kafka.transactions",
        "postgres.reachable",
        "postgres.schema",
        "postgres.epochs",
        "postgres.roles",
        "valkey.reachable",
        "valkey.memory",
        "valkey.scripts",
    }


async def test_topics_of_another_shape_are_found(kafka_bootstrap: str, postgres_dsn: str) -> None:
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)
    name = topics.ORDER_STATUS.name
    other = NewTopic(name, 1, 1, topic_configs={"retention.ms": "1000"})
    await _bend(kafka_bootstrap, gone=topics.DEAD_LETTER.name, other=other)

    found = [f async for f in kafka.examine(KafkaSettings(kafka_bootstrap=kafka_bootstrap)) if f.level != "ok"]

    said = [finding.detail for finding in found]
    assert f"missing: {topics.DEAD_LETTER.name}" in said
    assert f"{name} has 1 partitions, not {topics.ORDER_STATUS.partitions}" in said
    assert any("retention.ms=1000" in detail for detail in said)
    await stack.fresh_topics(kafka_bootstrap, postgres_dsn)


async def test_a_broker_that_is_not_there_names_the_setting() -> None:
    found = await _kafka(NOBODY)

    assert found["kafka.reachable"].level == "FAIL"
    assert "UMBRA_KAFKA_BOOTSTRAP" in str(found["kafka.reachable"].remedy)


async def test_a_reader_that_may_write_is_found(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("GRANT INSERT ON sf_record TO umbra_reader")
    await connection.close()

    finding = (await _postgres(postgres_dsn))["postgres.roles"]

    assert finding.level == "FAIL"
    assert "REVOKE" in str(finding.remedy)


async def test_a_projector_without_grants_is_found(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("REVOKE UPDATE ON sf_record FROM umbra_projector")
    await connection.close()

    assert "cannot write" in (await _postgres(postgres_dsn))["postgres.roles"].detail


async def test_a_database_before_migrate_is_found(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("DELETE FROM schema_migrations")
    await connection.close()

    finding = (await _postgres(postgres_dsn))["postgres.schema"]

    assert finding.level == "FAIL"
    assert "umbra migrate" in str(finding.remedy)


async def test_topics_without_an_epoch_are_found(postgres_dsn: str) -> None:
    assert "umbra migrate" in str((await _postgres(postgres_dsn))["postgres.epochs"].remedy)


@pytest.mark.parametrize("dsn", [f"postgresql://umbra@{NOBODY}/umbra", "nonsense"])
async def test_a_database_that_is_not_there_names_the_setting(dsn: str) -> None:
    finding = (await _postgres(dsn))["postgres.reachable"]

    assert finding.level == "FAIL"
    assert "UMBRA_POSTGRES_DSN" in str(finding.remedy)


async def test_a_password_is_not_repeated() -> None:
    finding = (await _postgres(f"postgresql://umbra:hunter2@{NOBODY}/umbra"))["postgres.reachable"]

    assert "hunter2" not in finding.detail


async def test_a_limited_valkey_that_drops_nothing_is_found(valkey_url: str) -> None:
    client: Redis = Redis.from_url(valkey_url)
    try:
        await client.config_set("maxmemory", str(64 * 2**20))
        finding = (await _valkey(valkey_url))["valkey.memory"]
    finally:
        await client.config_set("maxmemory", "0")
        await client.aclose()

    assert finding.level == "warn"
    assert "allkeys-lfu" in str(finding.remedy)


async def test_a_valkey_that_is_not_there_names_the_setting() -> None:
    finding = (await _valkey(f"redis://{NOBODY}/0"))["valkey.reachable"]

    assert finding.level == "FAIL"
    assert "UMBRA_VALKEY_URL" in str(finding.remedy)
