"""Reads as RecordChanges: pure builders of what a full read or a "not found" says."""

from __future__ import annotations

from collections.abc import Mapping

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
    raise NotImplementedError


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
    raise NotImplementedError
