"""Records read by id, 200 at a time, and written through the log: what Salesforce has, and that it has not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from schemas import topics, versions
from schemas.events import RecordChange
from schemas.mapping import ObjectMapping
from schemas.versions import Version
from services.ingestor import outgoing, transactions
from services.ingestor.jobs import known
from services.ingestor.jobs.means import Means
from services.ingestor.outgoing import Record
from services.salesforce import canonical, changes, observed
from services.salesforce.calls import CallClass, within
from services.salesforce.rest import Retrieved

CALL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one read by id gave. unfit: records of which a field does not fit the mapping, and are not written."""

    version: Version
    found: list[RecordChange] = field(default_factory=list)
    absent: list[RecordChange] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)


def transactional_id(object_name: str) -> str:
    return transactions.id_of(f"repair:{object_name}")


async def read(means: Means, mapping: ObjectMapping, ids: Sequence[str]) -> Answer:
    """One call. Raises SalesforceError."""
    retrieved = await means.rest.retrieve(
        mapping.name, ids, mapping.select, call_class=CallClass.REPAIR, deadline=within(CALL_SECONDS)
    )
    return answer(mapping, retrieved, means.margin_ms)


def answer(mapping: ObjectMapping, retrieved: Retrieved, margin_ms: int) -> Answer:
    """Whatever Salesforce does not show is absent: deleted, gone for good, or hidden from us. Pure."""
    told = Answer(versions.read_version(retrieved.r0_ms, margin_ms))
    for record_id, record in retrieved.records.items():
        try:
            told.found.append(
                changes.snapshot(
                    mapping,
                    canonical.from_rest(mapping, record),
                    r0_ms=retrieved.r0_ms,
                    origin="repair",
                    margin_ms=margin_ms,
                )
            )
        except ValueError:
            told.unfit.append(record_id)
    told.absent.extend(
        changes.absent(mapping.name, record_id, r0_ms=retrieved.r0_ms, origin="repair", margin_ms=margin_ms)
        for record_id in retrieved.missing
    )
    return told


async def write(means: Means, mapping: ObjectMapping, told: Answer) -> None:
    """One transaction. Raises Abandoned and KafkaError, and Retryable where the known statuses cannot be read."""
    records = await _records(means, mapping, told, means.clock.now())
    if records:
        async with transactions.opened(means.kafka, transactional_id(mapping.name)) as held:
            await held.commit(records)


async def _records(means: Means, mapping: ObjectMapping, told: Answer, now: datetime) -> list[Record]:
    return [*_changes(told, now), *await _statuses(means, mapping, told, now)]


def _changes(told: Answer, now: datetime) -> Iterator[Record]:
    return (outgoing.change(change, now) for change in (*told.found, *told.absent))


async def _statuses(means: Means, mapping: ObjectMapping, told: Answer, now: datetime) -> list[Record]:
    """Statuses that an order has and nobody told: their events were lost."""
    if mapping.name != topics.OBJECT_OF[topics.ORDER.name] or not told.found:
        return []
    stored = await known.statuses(means.dsn, [change.record_id for change in told.found])
    return [outgoing.status(each, now) for each in observed.statuses(means.statuses, told.found, stored)]
