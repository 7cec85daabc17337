"""When deltas and full reads are due: one slot a night for each object. Pure.

Where a job stands is in its checkpoint, so a new owner goes on with the same timetable; a slot that nobody was there
for is made up for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from schemas import topics, versions
from schemas.events import Checkpoint
from services.kernel.settings import at_least, setting

Kind = Literal["delta", "full"]
KINDS: tuple[Kind, ...] = ("delta", "full")

_DAY = timedelta(days=1)
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_RETENTION_DAYS = min(topic.retention_ms or 0 for topic in topics.RECORD_TOPICS.values()) // 86_400_000


def _time_of_day(value: str) -> str | None:
    return None if _TIME.fullmatch(value) else "must be a time of day in UTC, for example 01:30"


def _inside_retention(value: int) -> str | None:
    if 1 <= value < _RETENTION_DAYS:
        return None
    kept = f"the log keeps {_RETENTION_DAYS} days, and rebuilds nothing without a full read in them"
    return f"must be 1 to {_RETENTION_DAYS - 1}: {kept}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    """What the owner of the jobs runs by the clock."""

    schedule_enabled: bool = setting(default=True, doc="Whether deltas and full reads run by themselves.")
    schedule_at: str = setting(
        default="01:30", check=_time_of_day, doc="When the first object's nightly delta begins, in UTC."
    )
    schedule_apart_minutes: int = setting(
        default=15,
        check=at_least(0),
        doc="Minutes between the nightly slots of two objects, so that they share a night.",
    )
    schedule_full_days: int = setting(
        default=7,
        check=_inside_retention,
        doc="Days after which an object is read in full again, hard deletes included; less than the log is kept.",
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """When an object's jobs were last complete, by the clock of the process that ran them."""

    delta: datetime | None = None
    full: datetime | None = None


def standing(delta: Checkpoint | None, full: Checkpoint | None) -> Standing:
    """full: with an anti-join where there has been one, else the backfill that filled an empty shadow."""
    return Standing(_moment(delta, "done_ms"), _moment(full, "anti_join_ms") or _moment(full, "done_ms"))


def _moment(stored: Checkpoint | None, key: str) -> datetime | None:
    return versions.moment(int(stored.job[key])) if stored is not None and key in stored.job else None


def slot(settings: ScheduleSettings, nth: int, now: datetime) -> datetime:
    """The newest slot of the nth object that has begun."""
    hours, minutes = settings.schedule_at.split(":")
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + timedelta(hours=int(hours), minutes=int(minutes))
    begun = first + timedelta(minutes=settings.schedule_apart_minutes * nth)
    while begun > now:
        begun -= _DAY
    return begun


def due(
    settings: ScheduleSettings, of: Standing, begun: datetime, started: datetime, *, full_put_off: bool = False
) -> Kind | None:
    """What an object's slot asks for. What was never read is read at the first slot that this owner sees, no sooner:
    until then a person may be about to do it. A full read that does not come to its end holds no delta up; a time that
    is still to come is that of a clock that ran ahead, and counts as never."""
    full, delta = (_believed(at, begun) for at in (of.full, of.delta))
    if full is None:
        return "full" if begun >= started else None
    newest = max(full, delta or full)
    if full_due(settings, of, begun):
        stuck = delta is not None and begun - newest > _DAY * 3 / 2
        return "delta" if (full_put_off and newest < begun) or stuck else "full"
    return "delta" if newest < begun else None


def full_due(settings: ScheduleSettings, of: Standing, begun: datetime) -> bool:
    """Whether the days since the last full read are over; not for an object that was never read."""
    full = _believed(of.full, begun)
    return full is not None and begun - full >= timedelta(days=settings.schedule_full_days) - _DAY / 2


def _believed(at: datetime | None, begun: datetime) -> datetime | None:
    return None if at is None or at > begun + _DAY else at


def next_slot(settings: ScheduleSettings, names: Mapping[str, int], now: datetime) -> datetime:
    """When the next slot of any object begins. names: each object's place in the night."""
    return min((slot(settings, nth, now) + _DAY for nth in names.values()), default=now + _DAY)
