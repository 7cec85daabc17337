"""Whether Kafka is reachable, holds the topics as they are defined, and does transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiokafka.errors import KafkaError

from services.kernel import kafka
from services.kernel.settings import KafkaSettings
from services.ops import topics
from services.ops.checks.findings import Finding, fail, ok, warn
from services.ops.errors import CommandFailed
from services.ops.topics import Examined

_SECONDS = 20.0
_TRANSACTIONAL_ID = "umbra-doctor"


async def examine(settings: KafkaSettings) -> AsyncIterator[Finding]:
    try:
        async with asyncio.timeout(_SECONDS):
            found = await topics.examine(settings.bootstrap)
    except (CommandFailed, TimeoutError, KafkaError, OSError) as error:
        yield _away(settings, error)
        return
    yield ok("kafka.reachable", f"answers at {settings.bootstrap}")
    for finding in judge(found):
        yield finding
    yield await _transactions(settings)


def _away(settings: KafkaSettings, error: BaseException) -> Finding:
    detail = f"no Kafka answers at {settings.bootstrap} ({str(error) or type(error).__name__})"
    return fail("kafka.reachable", detail, "start the brokers, or correct UMBRA_KAFKA_BOOTSTRAP")


def judge(found: Examined) -> list[Finding]:
    """What differs from the definition of the topics."""
    check = "kafka.topics"
    said: list[Finding] = []
    if found.missing:
        said.append(fail(check, f"missing: {', '.join(found.missing)}", "umbra migrate"))
    if found.partitions:
        said.append(
            fail(
                check,
                "; ".join(found.partitions),
                "no count can be changed in place: it would re-home keys. Delete the topic and run umbra migrate, "
                "then umbra backfill --all --execute",
            )
        )
    said += [warn(check, difference, _alter(difference)) for difference in found.settings]
    return said or [ok(check, "all there, with the partitions and settings of their definition")]


def _alter(difference: str) -> str:
    topic, _, rest = difference.partition(" has ")
    key, wanted = rest.partition("=")[0], rest.rpartition(", not ")[2]
    return (
        f"kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name {topic} "
        f"--add-config {key}={wanted}"
    )


async def _transactions(settings: KafkaSettings) -> Finding:
    """Begins and aborts one: nothing is written to any topic of Umbra's."""
    check = "kafka.transactions"
    producer = kafka.producer(settings, transactional_id=_TRANSACTIONAL_ID, transaction_timeout_ms=10_000)
    try:
        async with asyncio.timeout(_SECONDS):
            await producer.start()
            await producer.begin_transaction()
            await producer.abort_transaction()
    except (KafkaError, TimeoutError, OSError) as error:
        return fail(
            check,
            f"a transaction cannot be begun: {type(error).__name__} {error}".rstrip(),
            "let the brokers keep __transaction_state (enough brokers for transaction.state.log.replication.factor), "
            "and allow Write on the transactional ids umbra-*",
        )
    finally:
        await producer.stop()
    return ok(check, "can be begun and aborted")
