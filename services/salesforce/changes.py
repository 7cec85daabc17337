"""Reads as RecordChanges: pure builders of what a full read or a "not found" says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from schemas import ids, versions
from schemas.events import Origin, RecordChange
from schemas.mapping import ObjectMapping
from schemas.versions import DEFAULT_MARGIN_MS
from services.salesforce.canonical import Value


def snapshot(
    mapping: ObjectMapping,
    record: Mapping[str, Value],
    *,
    r0_ms: int,
    origin: Origin,
    margin_ms: int = DEFAULT_MARGIN_MS,
    job_id: str | None = None,
) -> RecordChange:
    """A full read of one record in canonical form (`canonical.from_rest`, `from_csv`).

    It covers all where every mapped field was selected. ValueError without an Id.
    """
    stamp = record.get("SystemModstamp")
    fields = {name: value for name, value in record.items() if name not in ("Id", "SystemModstamp")}
    return RecordChange(
        kind="snapshot",
        object=mapping.name,
        record_id=ids.parse(str(record.get("Id", ""))),
        version=versions.read_version(r0_ms, margin_ms),
        origin=origin,
        fields={"IsDeleted": False, **fields},
        covers="all" if mapping.fields.keys() <= record.keys() else None,
        read_began_at=versions.moment(r0_ms),
        read_margin_ms=margin_ms,
        system_modstamp=datetime.fromisoformat(stamp) if isinstance(stamp, str) else None,
        job_id=job_id,
    )


def absent(
    object_name: str,
    record_id: str,
    *,
    r0_ms: int,
    origin: Origin,
    margin_ms: int = DEFAULT_MARGIN_MS,
    job_id: str | None = None,
) -> RecordChange:
    """Salesforce does not have this record, as of a read that began at r0_ms."""
    return RecordChange(
        kind="absent",
        object=object_name,
        record_id=ids.parse(record_id),
        version=versions.read_version(r0_ms, margin_ms),
        origin=origin,
        fields={"IsDeleted": True},
        read_began_at=versions.moment(r0_ms),
        read_margin_ms=margin_ms,
        job_id=job_id,
    )
