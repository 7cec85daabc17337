"""Records asked for by their ids: what is there as a snapshot, what is not as absent. One call for 200 ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from schemas.events import Origin, RecordChange
from schemas.mapping import ObjectMapping
from services.ingestor.jobs.means import Means
from services.salesforce import canonical, changes, soql
from services.salesforce.calls import CallClass, within
from services.salesforce.rest import MOST_IDS, Read

_CALL_SECONDS = 120.0


async def by_id(
    means: Means,
    mapping: ObjectMapping,
    ids: Sequence[str],
    *,
    call_class: CallClass,
    origin: Origin,
    job_id: str | None = None,
) -> AsyncIterator[RecordChange]:
    """Each read has its own start, and so its own version. Raises the door's errors."""
    for begin in range(0, len(ids), MOST_IDS):
        asked = ids[begin : begin + MOST_IDS]
        query = soql.select(mapping.select, mapping.name, soql.among("Id", asked))
        read = await means.rest.query_all(query, call_class=call_class, deadline=within(_CALL_SECONDS))
        found: set[str] = set()
        for change in snapshots(means, mapping, read, origin=origin, job_id=job_id):
            found.add(change.record_id)
            yield change
        for record_id in asked:
            if record_id not in found:
                yield changes.absent(
                    mapping.name,
                    record_id,
                    r0_ms=read.r0_ms,
                    origin=origin,
                    margin_ms=means.margin_ms,
                    job_id=job_id,
                )


def snapshots(
    means: Means, mapping: ObjectMapping, read: Read, *, origin: Origin, job_id: str | None = None
) -> list[RecordChange]:
    """The records of a read by REST. ValueError naming the field that does not fit."""
    return [
        changes.snapshot(
            mapping,
            canonical.from_rest(mapping, record),
            r0_ms=read.r0_ms,
            origin=origin,
            margin_ms=means.margin_ms,
            job_id=job_id,
        )
        for record in read.records
    ]
