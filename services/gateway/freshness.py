"""How old is too old: for a cached answer, for the freshness rule, for what a caller accepts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas import versions
from schemas.versions import Version
from services.gateway.entry import Entry


@dataclass(frozen=True, slots=True)
class Rules:
    """Ages in milliseconds; see the settings of the same names."""

    cache_ms: int
    fresh_ms: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a write token says: this record was written at or after r0_ms, a whole second."""

    object: str
    record_id: str
    r0_ms: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What a caller asks beyond the rules.

    caller: whom forced live reads are counted for
    max_staleness_ms: the oldest acceptable answer; None leaves it to the rules
    after: a write that the answer must hold
    """

    caller: str = "anonymous"
    max_staleness_ms: int | None = None
    after: Receipt | None = None

    @property
    def near_allowed(self) -> bool:
        return self.after is None and self.max_staleness_ms != 0


ANY = Demand()


def age_ms(entry: Entry, now_ms: int) -> int:
    return max(0, now_ms - entry.as_of_ms)


def accepted(entry: Entry, demand: Demand, now_ms: int) -> bool:
    """Whether an answer is young enough for a caller who named an age."""
    return demand.max_staleness_ms is None or age_ms(entry, now_ms) <= demand.max_staleness_ms


def keeps(entry: Entry, rules: Rules, demand: Demand, now_ms: int, *, rule_live: bool) -> bool:
    """Whether a cached answer serves, or has to be read again from the shadow: coverage moves on without a change.

    rule_live: answers of its kind are read live when they break the freshness rule
    """
    if not accepted(entry, demand, now_ms):
        return False
    unread_ms = now_ms - entry.read_ms
    if rule_live and age_ms(entry, now_ms) > rules.fresh_ms:
        return unread_ms < min(rules.cache_ms, 1000)
    return unread_ms <= rules.cache_ms


def needs_live(entry: Entry, rules: Rules, now_ms: int, *, rule_live: bool) -> bool:
    """Whether the stored answer does not do and Salesforce has to be asked, if it can be.

    A key absent from an object observed within the freshness rule does not exist; a list of an object that no full
    read has covered may lack anything.
    """
    too_old = age_ms(entry, now_ms) > rules.fresh_ms
    if not entry.found:
        return too_old or not entry.covered
    return not entry.covered or (rule_live and too_old)


def source_of(entry: Entry, tier: str, rules: Rules, now_ms: int) -> str:
    """Where an answer came from; "stale" for one that is older than the freshness rule, wherever it lay."""
    return "stale" if age_ms(entry, now_ms) > rules.fresh_ms else tier


def as_of_row(updated_at: datetime, observed: datetime | None) -> int:
    """A row is as of its own newest version, or of its object's observed coverage where that is later."""
    own = versions.millis(updated_at)
    return own if observed is None else max(own, versions.millis(observed))


@dataclass(frozen=True, slots=True)
class AsOf:
    """covered: see `Entry`"""

    ms: int
    covered: bool


def as_of_list(observed: Iterable[datetime | None], rows: Iterable[datetime] = ()) -> AsOf:
    """A list is as of the least coverage of the objects it is made from. Without coverage it is as of its oldest row,
    and may lack any."""
    known = [None if each is None else versions.millis(each) for each in observed]
    if all(each is not None for each in known):
        return AsOf(min(each for each in known if each is not None), covered=True)
    return AsOf(min(map(versions.millis, rows), default=0), covered=False)


def as_of_live(r0_ms: int, kept: Iterable[Version]) -> int:
    """A live read is as of its start less the late visibility; where stored values won over it, as of the oldest of
    those, if that is earlier: a value that is newer proves nothing of the others."""
    return min([r0_ms - versions.LATE_VISIBILITY_MS, *(versions.at_ms(version) for version in kept)])


def holds(version: Version | None, receipt: Receipt) -> bool:
    """Whether a state whose newest version this is holds the write: an event or the start of a read from then on."""
    if version is None:
        return False
    at = int(version[15:34]) if versions.is_read(version) else versions.at_ms(version)
    return at >= receipt.r0_ms
