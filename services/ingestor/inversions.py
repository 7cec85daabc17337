"""Stream order against version order, record by record: what runs backward does not pass unnoticed. Pure.

Commit times come from many clocks. Where a later delivery of a record carries a smaller version, the rows would keep
the older value, so the record is marked dirty and read. Memory is bounded: what is forgotten leaves a bound behind,
and an unknown record below it counts as running backward. A version from a time that has not come yet marks its own
record at once, and is no bound for others: they would all run backward until that time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from operator import attrgetter

import msgspec

from schemas import versions
from schemas.events import RecordChange
from schemas.versions import Version

MOST_RECORDS = 20_000
"""Records remembered for one stream, about 8 MB."""
_RECENT = 8
"""Deliveries remembered of one record."""


@dataclass(slots=True)
class Judged:
    """What to write of one delivery.

    changes: as they came, without what is known to be in the log already, and the marks that they gave rise to
    repeated: ids of records of which this was delivered before
    inverted, contradicted: records whose version ran backward or ahead; the same version with another content
    """

    changes: list[RecordChange] = field(default_factory=list)
    repeated: set[str] = field(default_factory=set)
    inverted: int = 0
    contradicted: int = 0

    @property
    def nothing_new(self) -> bool:
        return bool(self.repeated) and not self.changes


@dataclass(slots=True)
class _Seen:
    """Of one record: its newest version, and contents by version of its last deliveries."""

    newest: Version
    recent: list[tuple[Version, bytes]]


class Inversions:
    """What one stream has delivered since it was opened.

    forgotten: greatest version of which the record is no longer known
    """

    def __init__(self, forgotten: Version | None = None, most: int = MOST_RECORDS) -> None:
        self._forgotten = forgotten
        self._most = most
        self._limit: Version | None = None
        self._records: OrderedDict[str, _Seen] = OrderedDict()

    def judge(self, changes: Sequence[RecordChange], limit: Version | None = None) -> Judged:
        """To be called with each delivery in stream order; all its changes have one version.

        limit: a version above it is of a time that has not come yet
        """
        self._limit = limit
        judged = Judged()
        for record_id, group in groupby(changes, key=attrgetter("record_id")):
            self._judge(record_id, list(group), judged)
        return judged

    def _judge(self, record_id: str, said: list[RecordChange], judged: Judged) -> None:
        version, content = said[0].version, _content(said)
        seen = self._records.get(record_id)
        others = [kept for of, kept in seen.recent if of == version] if seen else []
        if content in others:
            judged.repeated.add(record_id)
            return
        bound = seen.newest if seen else self._forgotten
        judged.changes += said
        judged.contradicted += bool(others)
        inverted = bound is not None and version < bound
        ahead = self._limit is not None and version > self._limit
        judged.inverted += inverted or ahead
        if inverted or others or ahead:
            judged.changes.append(_mark(said[0], max(bound or version, version)))
        self._remember(record_id, seen, version, content)

    def _remember(self, record_id: str, seen: _Seen | None, version: Version, content: bytes) -> None:
        if seen is None:
            self._records[record_id] = _Seen(max(self._forgotten or version, version), [(version, content)])
        else:
            seen.newest = max(seen.newest, version)
            seen.recent = [*seen.recent[1 - _RECENT :], (version, content)]
            self._records.move_to_end(record_id)
        if len(self._records) > self._most:
            _, gone = self._records.popitem(last=False)
            bound = capped(gone.newest, self._limit)
            self._forgotten = max(self._forgotten or bound, bound)


def _content(said: Sequence[RecordChange]) -> bytes:
    """The transaction, the place in it and all that is claimed: equal only for the same delivery."""
    claims = [(change.kind, change.fields) for change in said]
    return blake2b(msgspec.json.encode((said[0].transaction_key, said[0].sequence, claims)), digest_size=8).digest()


def _mark(of: RecordChange, version: Version) -> RecordChange:
    """A read that is newer than all that was seen of the record decides."""
    return RecordChange(
        kind="dirty",
        object=of.object,
        record_id=of.record_id,
        version=version,
        origin="cdc",
        committed_at=versions.moment(versions.at_ms(version)),
        replay_id=of.replay_id,
    )


def capped(version: Version, limit: Version | None) -> Version:
    """As a bound for other records."""
    return version if limit is None else min(version, limit)


def newest(of: Version | None, changes: Sequence[RecordChange]) -> Version | None:
    """The greatest of a version and those of some changes."""
    return max(_all(of, changes), default=None)


def _all(of: Version | None, changes: Sequence[RecordChange]) -> Iterator[Version]:
    if of is not None:
        yield of
    yield from (change.version for change in changes)
