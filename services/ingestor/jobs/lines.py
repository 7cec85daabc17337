"""A Bulk row straight to the bytes of its snapshot: what `outgoing.change(changes.snapshot(canonical.from_csv(...)))`
gives, byte for byte, without building any of it for each row.

Values in the form that Salesforce normally sends are written as they stand; any other goes the long way. A property
test holds the two ways together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import NamedTuple

import msgspec

from schemas import events, ids
from schemas.events import Origin, RecordChange
from schemas.ids import RecordId
from schemas.mapping import FieldType, ObjectMapping
from services.ingestor import outgoing
from services.salesforce import canonical, changes

Encode = Callable[[str], bytes]
"""A value of the CSV as JSON. ValueError where it does not fit its type."""

_JSON = msgspec.json.encode
_SAMPLE_ID = RecordId("001000000000000AAA")
_SAMPLE_STAMP = "2001-02-03T04:05:06.000Z"
_EXACT_DIGITS = 15
"""Significant digits that a double holds for certain: up to so many a decimal is its own shortest text."""
_REMEMBERED = 100_000


class Line(NamedTuple):
    """A snapshot as the log takes it. event_id: its CloudEvents id."""

    key: bytes
    value: bytes
    event_id: bytes


class Lines:
    """The rows of one read of one object, compiled once for the columns that it selects.

    A row is (Id, IsDeleted, SystemModstamp, mapped fields in their order), which is `mapping.select`.
    """

    def __init__(
        self, mapping: ObjectMapping, *, r0_ms: int, origin: Origin, margin_ms: int, job_id: str | None
    ) -> None:
        self._mapping = mapping
        self._r0_ms = r0_ms
        self._origin: Origin = origin
        self._margin_ms = margin_ms
        self._job_id = job_id
        kinds: list[FieldType] = ["boolean", *(field.type for field in mapping.fields.values())]
        names = ["IsDeleted", *mapping.fields]
        self._fields = [_field(name, kind) for name, kind in zip(names, kinds, strict=True)]
        sample = self.change([_SAMPLE_ID, "", _SAMPLE_STAMP, *("" for _ in mapping.fields)])
        self._head, self._middle, self._tail = _split(sample)
        self._id_tail = f"-{sample.version}-{sample.kind}".encode()

    def change(self, row: Sequence[str]) -> RecordChange:
        """The long way. Raises ValueError naming the field that does not fit."""
        named = {name: value or None for name, value in zip(self._mapping.select, row, strict=True)}
        return changes.snapshot(
            self._mapping,
            canonical.from_csv(self._mapping, named),
            r0_ms=self._r0_ms,
            origin=self._origin,
            margin_ms=self._margin_ms,
            job_id=self._job_id,
        )

    def line(self, row: Sequence[str]) -> Line:
        """Raises ValueError as `change` does."""
        record_id, deleted, stamp = row[:3]
        try:
            key = _key(record_id)
            values = [encode(value) for encode, value in zip(self._fields, (deleted, *row[3:]), strict=True)]
            stamped = _stamp(stamp)
        except ValueError:
            return self._long(row)
        value = b"".join((self._head, key, self._middle, b",".join(values), self._tail[0], stamped, self._tail[1]))
        return Line(key, value, key + self._id_tail)

    def _long(self, row: Sequence[str]) -> Line:
        change = self.change(row)
        message = events.encode(change, source=outgoing.SOURCE, now=datetime.fromisoformat(_SAMPLE_STAMP))
        key = change.record_id.encode()
        return Line(key, message.value, events.id_of(change).encode())


def _split(sample: RecordChange) -> tuple[bytes, bytes, tuple[bytes, bytes]]:
    """What every snapshot of the read has around its id, its fields and its stamp."""
    message = events.encode(sample, source=outgoing.SOURCE, now=datetime.fromisoformat(_SAMPLE_STAMP))
    head, _, rest = message.value.partition(_SAMPLE_ID.encode())
    middle, _, tail = rest.partition(_JSON(sample.fields))
    before, _, after = tail.partition(_stamp(_SAMPLE_STAMP))
    return head, middle + b"{", (b"}" + before, after)


def _field(name: str, kind: FieldType) -> Encode:
    """`"name":value`; what is not in the usual form goes through `canonical`."""
    named = _JSON(name) + b":"
    null = named + b"null"
    short = _SHORT[kind]

    def encode(value: str) -> bytes:
        if not value:
            return null
        return named + (short(value) or _JSON(canonical.scalar_from_text(kind, value)))

    return encode


def _text(value: str) -> bytes | None:
    return _JSON(value) if value.isascii() and "\x00" not in value else None


def _boolean(value: str) -> bytes | None:
    return _BOOLEANS.get(value)


def _decimal(value: str) -> bytes | None:
    """Digits, perhaps with a fraction, few enough to be exact."""
    whole, point, fraction = value.partition(".")
    if not (value.isascii() and whole.isdigit() and len(value) <= _EXACT_DIGITS) or (whole[0] == "0" and whole != "0"):
        return None
    if not point:
        return b'"%b"' % whole.encode()
    if not fraction.isdigit():
        return None
    kept = fraction.rstrip("0")
    return f'"{whole}.{kept}"'.encode() if kept else f'"{whole}"'.encode()


def _integer(value: str) -> bytes | None:
    usual = value.isascii() and value.isdigit() and len(value) <= _EXACT_DIGITS and value[0] != "0"
    return value.encode() if usual else None


def _date(value: str) -> bytes | None:
    usual = len(value) == 10 and value[4] == "-" == value[7]
    return b'"%b"' % value.encode() if usual and date.fromisoformat(value) else None


def _datetime(value: str) -> bytes | None:
    usual = (
        len(value) == 24 and value[4] == "-" == value[7] and value[10] == "T" and value[19] == "." and value[23] == "Z"
    )
    return b'"%b"' % value.encode() if usual and datetime.fromisoformat(value) else None


def _id(value: str) -> bytes | None:
    return b'"%b"' % _key(value)


_BOOLEANS = {"true": b"true", "false": b"false"}
_SHORT: dict[FieldType, Callable[[str], bytes | None]] = {
    "text": _text,
    "boolean": _boolean,
    "decimal": _decimal,
    "integer": _integer,
    "date": _date,
    "datetime": _datetime,
    "id": _id,
}

_suffixes: dict[str, str] = {}
"""Checksum character of a block of five; blocks repeat, for the ids of an object are given out in order."""


def _key(value: str) -> bytes:
    """An id as it is kept, 18 characters."""
    if len(value) == 18 and value.isascii() and value.isalnum():
        found = _suffixes.get
        if found(value[:5]) == value[15] and found(value[5:10]) == value[16] and found(value[10:15]) == value[17]:
            return value.encode()
    parsed = ids.parse(value)
    if len(_suffixes) > _REMEMBERED:
        _suffixes.clear()
    for place in range(3):
        _suffixes[parsed[place * 5 : place * 5 + 5]] = parsed[15 + place]
    return parsed.encode()


def _stamp(value: str) -> bytes:
    """The member of a record's SystemModstamp, as msgspec writes a time; nothing for an empty one."""
    if not value:
        return b""
    if _datetime(value) is None or value[20:23] != "000":
        text = canonical.scalar_from_text("datetime", value)
        return b',"system_modstamp":' + _JSON(datetime.fromisoformat(str(text)))
    return b',"system_modstamp":"%bZ"' % value[:19].encode()
