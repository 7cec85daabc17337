"""Versions: fixed-width strings that order what is known of a field, compared as text.

A change event is versioned by its commit, a full read by a lower bound of the commits it certainly
contains: by when it began, minus a margin. Stamps of records decide nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal, NewType

Version = NewType("Version", str)
"""`at` 14 digits of epoch ms, rank 1 digit, number 19 digits, sequence 6 digits: 40 characters."""

StatusVersion = NewType("StatusVersion", str)
"""The order of two statuses of one order, whoever wrote them; see `status_version`."""

DEFAULT_MARGIN_MS = 30_000
"""M: late visibility (3 s), early commit times (1 s) and clock error (1 s), with room to spare.
A greater margin is always safe; it only delays what a healing read proves."""

LATE_VISIBILITY_MS = 3_000
"""V: a committed change may be unreadable for this long. An age, where M is an order."""

LOWEST_STATUS = StatusVersion("0" * 65)
"""Of a status that no event in the log carries, still above a client that has none."""

Source = Literal["salesforce", "fulfilment"]
_SOURCE_RANK: dict[Source, int] = {"fulfilment": 0, "salesforce": 1}


def event_version(commit_ms: int, commit_number: int, sequence: int) -> Version:
    """Version of every field that a change event carries. `commit_number` is int64 and >= 0."""
    if commit_ms < 0 or commit_number < 0 or not 0 <= sequence < 1_000_000:
        raise ValueError(f"no version for commit {commit_ms}, number {commit_number}, sequence {sequence}")
    return Version(f"{commit_ms:014d}1{commit_number:019d}{sequence:06d}")


def read_version(began_ms: int, margin_ms: int = DEFAULT_MARGIN_MS) -> Version:
    """Version of a full read or a "not found" whose request began at `began_ms` by the org's clock."""
    if not 0 <= margin_ms <= began_ms:
        raise ValueError(f"no version for a read begun at {began_ms} with margin {margin_ms}")
    at = (began_ms - margin_ms) // 1000 * 1000
    return Version(f"{at:014d}0{began_ms:019d}000000")


def proves(mark_ms: int, margin_ms: int = DEFAULT_MARGIN_MS) -> int:
    """Earliest start, in ms, of a read whose version is above a mark made at `mark_ms`."""
    return mark_ms // 1000 * 1000 + 1000 + margin_ms


def proven_until(began_ms: int, margin_ms: int = DEFAULT_MARGIN_MS) -> int:
    """Commits up to then are in a row once it holds a read that began at `began_ms`.

    Before the second of the read's version: an event of the same second is above the read, though the read may have
    a later commit of that second, whose own event was lost.
    """
    return (began_ms - margin_ms) // 1000 * 1000 - 1


def at_ms(version: str) -> int:
    """The time a version stands for: a commit, or the bound that a read proves."""
    return int(version[:14])


def is_read(version: str) -> bool:
    return version[14] == "0"


def status_version(
    occurred_ms: int,
    source: Source,
    commit_number: int,
    sequence: int,
    terminal: bool,
    event_id: str,
) -> StatusVersion:
    """Version of an order's status: time, then Salesforce above fulfilment, then the commit, then the rest.

    `commit_number` and `sequence` are 0 where the source has none. The hash of the event id orders events
    that are equal in all else: arbitrarily, but everywhere alike.
    """
    if occurred_ms < 0 or commit_number < 0 or not 0 <= sequence < 1_000_000:
        raise ValueError(f"no status version for {occurred_ms}, number {commit_number}, sequence {sequence}")
    tail = blake2b(event_id.encode(), digest_size=12).hexdigest()
    rank = _SOURCE_RANK[source]
    return StatusVersion(f"{occurred_ms:014d}{rank}{commit_number:019d}{sequence:06d}{int(terminal)}{tail}")


def observed_version(at_ms: int, terminal: bool, event_id: str) -> StatusVersion:
    """Version of a status that a read found, set at `at_ms` at the latest: below every report of that time or later.

    A millisecond earlier instead of a rank of its own, so that its form is that of every other version.
    """
    return status_version(max(at_ms - 1, 0), "fulfilment", 0, 0, terminal, event_id)


def millis(moment: datetime) -> int:
    """Epoch milliseconds of an aware datetime, without going through a float."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone has no place on the org's clock")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def moment(ms: int) -> datetime:
    """The aware UTC datetime of epoch milliseconds, exact."""
    return datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
