"""Rows of the org against rows of the shadow: what differs, and what is only too young to tell. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from schemas import versions
from schemas.events import RecordChange
from schemas.join import ALIVE
from schemas.versions import Version

LOWEST, HIGHEST = "", "~"
"""Below and above every id."""

Kind = Literal["missing", "extra", "changed"]
"""missing: the org has it and the shadow does not; extra: the other way round; changed: some field differs."""


@dataclass(frozen=True, slots=True)
class Range:
    """Ids from `low` on and below `high`, by the order of their characters, in which both sides sort them."""

    low: str = LOWEST
    high: str = HIGHEST


@dataclass(frozen=True, slots=True)
class Sum:
    """One side's records of a range. newest_ms: stamp of the org's newest, or what the shadow's newest version stands
    for; None without any."""

    alive: int
    newest_ms: int | None


@dataclass(frozen=True, slots=True)
class Known:
    """A record as the shadow has it. newest: version of its newest field."""

    payload: Mapping[str, Any]
    newest: Version | None

    @property
    def alive(self) -> bool:
        return self.payload.get(ALIVE) is False


@dataclass(frozen=True, slots=True)
class Difference:
    """fields: names only, never values."""

    record_id: str
    kind: Kind
    fields: tuple[str, ...] = ()


def split(of: Range, bounds: list[str]) -> list[Range]:
    """The ranges between the bounds, which lie inside of it in order."""
    edges = [of.low, *(bound for bound in bounds if of.low < bound < of.high), of.high]
    return [Range(low, high) for low, high in pairwise(edges)]


def alike(org: Sum, shadow: Sum) -> bool:
    """As many records, and nothing in the org that is stamped later than all that the shadow has seen of them.

    Necessary, not sufficient: what was lost under something newer in the same range, or one record too few beside one
    too many, shows in the rows only.
    """
    if org.alive != shadow.alive:
        return False
    return org.newest_ms is None or (shadow.newest_ms is not None and org.newest_ms < shadow.newest_ms + 1_000)


def differences(
    org: Mapping[str, RecordChange], shadow: Mapping[str, Known], cut_ms: int
) -> Iterator[Difference | None]:
    """One for each record that differs; None for one that does but was touched at or after `cut_ms`."""
    for record_id in sorted(org.keys() | shadow.keys()):
        found = _difference(record_id, org.get(record_id), shadow.get(record_id))
        if found is not None:
            yield None if _young(org.get(record_id), shadow.get(record_id), cut_ms) else found


def _difference(record_id: str, read: RecordChange | None, known: Known | None) -> Difference | None:
    there = read is not None and read.fields.get(ALIVE) is not True
    shown = known is not None and known.alive
    if read is None or known is None or there != shown:
        if there == shown:
            return None
        return Difference(record_id, "missing" if there else "extra")
    if not there:
        return None
    fields = tuple(name for name, value in read.fields.items() if known.payload.get(name) != value)
    return Difference(record_id, "changed", fields) if fields else None


def _young(read: RecordChange | None, known: Known | None, cut_ms: int) -> bool:
    if read is not None and read.system_modstamp is not None and versions.millis(read.system_modstamp) >= cut_ms:
        return True
    return known is not None and known.newest is not None and versions.at_ms(known.newest) >= cut_ms
