"""Records read by id, 200 at a time, and written through the log: what Salesforce has, and that it has not.

One id that Salesforce refuses has all the others of its call refused: the call is halved until that id stands alone.
"""

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
from services.salesforce.errors import BadRequest
from services.salesforce.rest import Retrieved

CALL_SECONDS = 60.0


_REFUSALS = 3
"""Ids that are refused alone, and none that is read: then not the ids are wrong, but what is asked of them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What some ids gave.

    version: the least of the calls; None where no id was read
    unfit: records of which a field does not fit the mapping, and are not written; refused: ids that are none
    """

    version: Version | None
    found: list[RecordChange] = field(default_factory=list)
    absent: list[RecordChange] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    calls: int = 1


def transactional_id(object_name: str) -> str:
    return transactions.id_of(f"repair:{object_name}")


async def read(means: Means, mapping: ObjectMapping, ids: Sequence[str]) -> Answer:
    """One call, and two for each halving. Raises SalesforceError; BadRequest where it refuses each of several ids."""
    parts, refused, calls = [list(ids)], list[str](), 0
    told: list[Answer] = []
    while parts:
        part, calls = parts.pop(), calls + 1
        try:
            told.append(answer(mapping, await _retrieved(means, mapping, part), means.margin_ms))
        except BadRequest:
            half = len(part) // 2
            parts += [part[half:], part[:half]] if half else []
            refused += [] if half else part
            if not told and len(refused) >= _REFUSALS:
                raise
    return _together(told, refused, calls)


async def _retrieved(means: Means, mapping: ObjectMapping, ids: Sequence[str]) -> Retrieved:
    return await means.rest.retrieve(
        mapping.name, ids, mapping.select, call_class=CallClass.REPAIR, deadline=within(CALL_SECONDS)
    )


def _together(told: Sequence[Answer], refused: list[str], calls: int) -> Answer:
    return Answer(
        version=min((each.version for each in told if each.version), default=None),
        found=[change for each in told for change in each.found],
        absent=[change for each in told for change in each.absent],
        unfit=[record_id for each in told for record_id in each.unfit],
        refused=refused,
        calls=calls,
    )


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
