"""The events that cross a boundary: one msgspec type each, and the one place that touches their bytes.

Values are JSON; CloudEvents attributes and `traceparent` travel as headers (binary mode), so a value can be
read without them. Compatibility is BACKWARD_TRANSITIVE: new fields have defaults, none is renamed or re-typed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from schemas.versions import Source, StatusVersion, Version

Kind = Literal["create", "update", "delete", "undelete", "snapshot", "absent", "dirty"]
Origin = Literal["cdc", "backfill", "delta", "repair", "live"]
Basis = Literal["stream", "delta", "full", "hole"]


class RecordChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one commit or one read says of one record.

    fields: every key is a claim; explicit null is null; an unselected or hidden field is absent
    covers: "all" only for a snapshot that selected every mapped field
    version: of every field here (`schemas.versions`)
    committed_at: of a change event; a read has read_began_at and read_margin_ms instead
    system_modstamp: information only, no rule depends on it
    replay_id, transaction_key, sequence, commit_number, job_id: where it came from
    """

    kind: Kind
    object: str
    record_id: str
    version: Version
    origin: Origin
    fields: dict[str, Any] = {}
    covers: Literal["all"] | None = None
    committed_at: datetime | None = None
    read_began_at: datetime | None = None
    read_margin_ms: int | None = None
    system_modstamp: datetime | None = None
    replay_id: str | None = None
    transaction_key: str | None = None
    sequence: int | None = None
    commit_number: str | None = None
    job_id: str | None = None


class Watermark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="watermark"):
    """How far an object is covered, written to every partition of its topic.

    covered_until: commits up to here are in the log before this record (stream: assuming that Salesforce
        lost nothing silently; delta and full: proven). None for a job's start and for a hole.
    covered_from: commits before it are not spoken of. A delta's own lower bound; for a stream, since when it
        is contiguous: a later mark with the same one continues it, another one begins a new span. None: since
        ever for a full read, not said for a stream.
    basis: what says so; "hole" opens a range of which nothing is known
    phase: "start" and "end" of a delta or full job
    replay_id: of a stream, hex, the newest position whose changes are in the log before this record
    hole_id, hole_from, hole_to: of a hole; hole_from None means "since ever"
    closes: ids of the holes that are closed for good with this watermark, whatever its basis, in any order of
        arrival
    counted: records of the job, on its end
    """

    object: str
    basis: Basis
    origin: Origin
    covered_until: datetime | None = None
    covered_from: datetime | None = None
    replay_id: str | None = None
    job_id: str | None = None
    phase: Literal["start", "end"] | None = None
    hole_id: str | None = None
    hole_from: datetime | None = None
    hole_to: datetime | None = None
    reason: str | None = None
    closes: Sequence[str] = ()
    counted: int | None = None


class OrderStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One reported or observed status of one order.

    id: replay id + record id, or the Idempotency-Key
    account_id: only when the source carries it; else the owner is known from the order's row
    reason: a code; message: from the catalogue in the mapping, never free text
    kind: "observed" for a read that shows a status whose event was lost
    """

    id: str
    order_id: str
    status: str
    terminal: bool
    occurred_at: datetime
    source: Source
    version: StatusVersion
    kind: Literal["reported", "observed"] = "reported"
    account_id: str | None = None
    reason: str | None = None
    message: str | None = None


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A position, and nothing else.

    replay_id: hex of Salesforce's opaque bytes, the newest whose changes are in the log
    event_at: commit time of the newest event at that position, to notice a position that went back
    newest: greatest version of an event at that position, to notice events whose versions go back
    covered_from: since when the stream is contiguous up to that position, over all its owners
    job_id, locator, job: where a Bulk job goes on; `job` holds what the job needs to resume
    heal: set on the only write that may go back, with `reason`
    """

    name: str
    written_at: datetime
    replay_id: str | None = None
    event_at: datetime | None = None
    newest: Version | None = None
    covered_from: datetime | None = None
    job_id: str | None = None
    locator: str | None = None
    job: dict[str, Any] = {}
    heal: bool = False
    reason: str | None = None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a record that could not be used came from; no payload of personal objects.

    before_replay_id: of the event before it, from which it can be fetched again within 72 hours
    resolution: what a person has done about an earlier letter on the same record; `reason` is then theirs
    """

    stage: Literal["decode", "apply"]
    reason: str
    seen_at: datetime
    topic: str
    partition: int | None = None
    offset: int | None = None
    replay_id: str | None = None
    before_replay_id: str | None = None
    schema_id: str | None = None
    resolution: Literal["retried", "dropped"] | None = None


Event = RecordChange | Watermark | OrderStatus | Checkpoint | DeadLetter

_TYPE: dict[type[Event], str] = {
    RecordChange: "umbra.record-change.v1",
    Watermark: "umbra.watermark.v1",
    OrderStatus: "umbra.order-status.v1",
    Checkpoint: "umbra.checkpoint.v1",
    DeadLetter: "umbra.dead-letter.v1",
}
TYPES = {name: cls for cls, name in _TYPE.items()}
"""Event type by CloudEvents type name."""

_ENCODER = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical")
_CHANGE = msgspec.json.Decoder(RecordChange)
_WATERMARK = msgspec.json.Decoder(Watermark)
_DECODERS: dict[type[Event], msgspec.json.Decoder[Any]] = {
    cls: msgspec.json.Decoder(cls) for cls in (OrderStatus, Checkpoint, DeadLetter)
}
_WATERMARK_PREFIX = b'{"kind":"watermark"'


class Message(NamedTuple):
    """A record as Kafka takes it."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


def key_of(event: Event) -> str | None:
    """The key that decides the partition; None for a watermark, which goes to every partition."""
    match event:
        case RecordChange():
            return event.record_id
        case OrderStatus():
            return event.order_id
        case Checkpoint():
            return event.name
        case _:
            return None


def id_of(event: Event) -> str:
    """CloudEvents id: with the source it names this event, also when it is written again."""
    match event:
        case RecordChange():
            return f"{event.record_id}-{event.version}-{event.kind}"
        case OrderStatus():
            return event.id
        case Watermark():
            until = "" if event.covered_until is None else event.covered_until.isoformat()
            return f"{event.object}-{event.basis}-{event.job_id or event.hole_id or ''}-{event.phase or ''}-{until}"
        case Checkpoint():
            return f"{event.name}-{event.replay_id or event.job_id or ''}-{event.locator or ''}"
        case DeadLetter():
            where = event.replay_id if event.offset is None else f"{event.partition}:{event.offset}"
            return f"{event.topic}-{where}" + (f"-{event.resolution}" if event.resolution else "")


def encode(event: Event, *, source: str, now: datetime, traceparent: str | None = None) -> Message:
    """Encode for Kafka. `source` is the CloudEvents source, a URI reference such as `/umbra/ingestor`."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", id_of(event).encode()),
        ("ce_type", _TYPE[type(event)].encode()),
        ("ce_source", source.encode()),
        ("ce_time", stamp(now).encode()),
        ("content-type", b"application/json"),
    ]
    if traceparent is not None:
        headers.append(("traceparent", traceparent.encode()))
    key = key_of(event)
    return Message(None if key is None else key.encode(), _ENCODER.encode(event), headers)


def decode_change(value: bytes) -> RecordChange | Watermark:
    """Decode a value of a record topic; msgspec.DecodeError or ValidationError when it is neither."""
    if value.startswith(_WATERMARK_PREFIX):
        return _WATERMARK.decode(value)
    return _CHANGE.decode(value)


def decode_status(value: bytes) -> OrderStatus:
    status: OrderStatus = _DECODERS[OrderStatus].decode(value)
    return status


def decode_checkpoint(value: bytes) -> Checkpoint:
    checkpoint: Checkpoint = _DECODERS[Checkpoint].decode(value)
    return checkpoint


def decode_dead_letter(value: bytes) -> DeadLetter:
    letter: DeadLetter = _DECODERS[DeadLetter].decode(value)
    return letter


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and Z: the one form of a time that leaves Umbra."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def header(headers: Iterable[tuple[str, bytes]] | Mapping[str, bytes], name: str) -> str | None:
    """One header as text; None when the record has none."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return next((value.decode() for key, value in pairs if key == name), None)


def order_update(status: OrderStatus, *, skipped: int = 0) -> dict[str, Any]:
    """The browser's view of a status: the data of an `order.update` frame, in the portal's own names."""
    update: dict[str, Any] = {
        "orderId": status.order_id,
        "status": status.status,
        "message": status.message,
        "reason": status.reason,
        "timestamp": stamp(status.occurred_at),
        "source": status.source,
        "version": status.version,
        "terminal": status.terminal,
    }
    return {**update, "skipped": skipped} if skipped else update
