"""Lasting behaviour of the org where real orgs differ, as one immutable value.  All off: an org without surprises."""

import random
from typing import TypeAlias

import msgspec

Span: TypeAlias = tuple[int, int]
"""Least and most, both possible."""

NEVER: Span = (0, 0)


class Oddities(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times are milliseconds, drawn anew for each commit; shares are of events or commits, between 0 and 1.

    late_reads_ms: a commit is readable by REST and Bulk only after this; until then reads show the old values
    late_events_ms: its events arrive only after this; order in a topic stays
    early_commit_ms: commitTimestamp lies before the true commit, never running backward for one record
    clock_skew_ms: the clock of the app server that commits is wrong by this: times of one record may run backward
    merge: the same change of several records in one transaction is one event
    diffs: a changed long text may come as a diff
    lone_compounds: an update of parts of a compound field alone leaves LastModifiedDate out
    empty_undeletes: an undelete's event has no fields
    opaque_replay_ids: replay ids are random bytes
    multi_entity: the channel /data/ChangeEvents is there
    lose_share, duplicate_share, gap_share: of events never stored, stored twice, sent as a gap
    number_jump_share: of commits before which commit numbers jump, forward or back
    most_event_bytes: a larger event is a gap
    most_changes: of one transaction, an update counts one a field; what lies beyond is an overflow
    """

    late_reads_ms: Span = NEVER
    late_events_ms: Span = NEVER
    early_commit_ms: Span = NEVER
    clock_skew_ms: Span = NEVER
    merge: bool = False
    diffs: bool = False
    lone_compounds: bool = False
    empty_undeletes: bool = False
    opaque_replay_ids: bool = False
    multi_entity: bool = False
    lose_share: float = 0.0
    duplicate_share: float = 0.0
    gap_share: float = 0.0
    number_jump_share: float = 0.0
    most_event_bytes: int = 1_000_000
    most_changes: int = 100_000

    def __post_init__(self) -> None:
        for name in ("late_reads_ms", "late_events_ms", "early_commit_ms", "clock_skew_ms"):
            least, most = getattr(self, name)
            if least > most or (least < 0 and name != "clock_skew_ms"):
                raise ValueError(f"{name} must be a span of two times, the lesser first")
        for name in ("lose_share", "duplicate_share", "gap_share", "number_jump_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1")


NONE = Oddities()


def draw(rng: random.Random, span: Span) -> int:
    """The least, the most or something between, each as likely: uniform values almost never meet a corner."""
    least, most = span
    return least if least == most else rng.choice((least, most, rng.randint(least, most)))
