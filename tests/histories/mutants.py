"""Wrong rules, each simpler than the right one by one thought: the histories have to tell every one of them apart.

A mutant folds the messages of a history into rows of its own. Most only give other versions or other claims to the
right join; the rest are rules with a version for the whole row, or that look at what they have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec

from schemas import join, versions
from schemas.events import RecordChange
from schemas.join import State
from schemas.versions import Version
from tests.histories.mapped import MAPPING
from tests.histories.truth import EMPTY, Key

CLOSE_MS = 5_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What a mutant is told: when each read was done by the true clock, and when the first full read of an object."""

    ended: Mapping[Version, int]
    copied: Mapping[str, int]


Fold = Callable[[Iterable[RecordChange], Seen], dict[Key, State]]
Change = Callable[[RecordChange, Seen, int], Iterator[RecordChange]]


def _r0(message: RecordChange) -> int:
    return versions.millis(message.read_began_at) if message.read_began_at else 0


def _is_read(message: RecordChange) -> bool:
    return message.read_began_at is not None


def _at(message: RecordChange, version: str) -> RecordChange:
    return msgspec.structs.replace(message, version=Version(version))


def joined(change: Change) -> Fold:
    """The right join of messages that were changed first. The third argument is the message's place in the log."""

    def fold(log: Iterable[RecordChange], seen: Seen) -> dict[Key, State]:
        known: dict[Key, State] = {}
        for place, message in enumerate(log):
            for said in change(message, seen, place):
                key = (said.object, said.record_id)
                known[key] = join.join(known.get(key, EMPTY), join.state_of(said))
        return known

    return fold


def stepwise(step: Callable[[State, RecordChange], State]) -> Fold:
    """A rule that sees what it holds when a message comes."""

    def fold(log: Iterable[RecordChange], seen: Seen) -> dict[Key, State]:
        known: dict[Key, State] = {}
        for message in log:
            key = (message.object, message.record_id)
            known[key] = step(known.get(key, EMPTY), message)
        return known

    return fold


def right(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    yield message


# Reads under other versions


def _margin(margin_ms: int) -> Change:
    def change(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
        yield _at(message, versions.read_version(_r0(message), margin_ms)) if _is_read(message) else message

    return change


def _by_end(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    if not _is_read(message):
        yield message
        return
    took = max(0, seen.ended.get(message.version, _r0(message)) - _r0(message))
    yield _at(message, versions.read_version(_r0(message) + took, message.read_margin_ms or 0))


def _no_floor(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    at = _r0(message) - (message.read_margin_ms or 0)
    yield _at(message, f"{at:014d}0{_r0(message):019d}000000") if _is_read(message) else message


def _read_wins_ties(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    yield _at(message, message.version[:14] + "2" + message.version[15:]) if _is_read(message) else message


def _by_stamp(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    """The end of the stamp's second for a read that began 5 s later, else its start."""
    if message.kind != "snapshot" or message.system_modstamp is None:
        yield message
        return
    stamp = versions.millis(message.system_modstamp)
    late = _r0(message) >= stamp + CLOSE_MS
    yield _at(message, versions.read_version(stamp // 1000 * 1000 + (999 if late else 0), 0)[:14] + "2" + "0" * 25)


def _by_last_modified(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    """LastModifiedDate on both sides, as the change data capture guide has it; the read wins ties."""
    modified = message.fields.get("LastModifiedDate")
    if modified is None:
        yield message
        return
    at = versions.millis(_instant(modified)) // 1000 * 1000
    rank = "2" if _is_read(message) else "1"
    yield _at(message, f"{at:014d}{rank}{message.version[15:]}")


def _instant(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)


# Events under other versions


def _number_first(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    """The commit number before the commit time; reads keep their place between them by time."""
    yield message if _is_read(message) else _at(message, _swapped(message))


def _swapped(message: RecordChange) -> str:
    """By number alone, in milliseconds as this org counts them."""
    at = int(message.version[15:34]) // 1_000_000
    return f"{at:014d}1{message.version[15:]}"


def _time_alone(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    yield message if _is_read(message) else _at(message, message.version[:15] + "0" * 25)


def _last_arrival(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    if _is_read(message):
        yield message
    else:
        at = int(message.version[:14]) // 1000 * 1000
        yield _at(message, f"{at:014d}1{place:019d}000000")


# Other claims


def _no_nulls(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    fields = {name: value for name, value in message.fields.items() if value is not None}
    yield msgspec.structs.replace(message, fields=fields)


def _create_is_full(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    """What it does not carry is taken for null."""
    if message.kind == "create":
        fields = {**dict.fromkeys(MAPPING.objects[message.object].fields), **message.fields}
        message = msgspec.structs.replace(message, kind="snapshot", covers="all", fields=fields)
    yield message


def _drop_until_copied(message: RecordChange, seen: Seen, place: int) -> Iterator[RecordChange]:
    """As two peers do: what was committed before the copy was complete is in the copy, they say."""
    done = seen.copied.get(message.object, 0)
    if message.committed_at is None or versions.millis(message.committed_at) >= done:
        yield message


# Rules that see what they hold


def _delete_drops(state: State, message: RecordChange) -> State:
    after = join.join(state, join.state_of(message))
    return EMPTY if message.kind in ("delete", "absent") and after.deleted else after


def _newer_read_resets(state: State, message: RecordChange) -> State:
    if message.covers != "all" or (state.base is not None and state.base >= message.version):
        return join.join(state, join.state_of(message))
    return join.state_of(message)


def _whole_row(version_of: Callable[[RecordChange], str]) -> Callable[[State, RecordChange], State]:
    """One version for the row: what is greater overwrites, what is not is refused. `base` holds it."""

    def step(state: State, message: RecordChange) -> State:
        version = Version(version_of(message))
        if message.kind == "dirty" or (state.base is not None and version <= state.base):
            return state
        said = join.state_of(message).payload
        return State(payload={**state.payload, **said}, base=version)

    return step


def _naive(message: RecordChange) -> str:
    return next(_by_stamp(message, Seen({}, {}), 0)).version if message.kind == "snapshot" else message.version


def _held(log: Iterable[RecordChange], seen: Seen) -> dict[Key, State]:
    """Sparse changes wait for the first full read; then the row has one version."""
    known: dict[Key, State] = {}
    waiting: dict[Key, list[RecordChange]] = defaultdict(list)
    rule = _whole_row(lambda message: message.version)
    for message in log:
        key = (message.object, message.record_id)
        if key not in known and message.covers != "all":
            waiting[key].append(message)
            continue
        known[key] = rule(known.get(key, EMPTY), message)
        for held in sorted(waiting.pop(key, ()), key=attrgetter("version")):
            known[key] = rule(known[key], held)
    return known


class _SkipsUnchanged:
    """A read whose SystemModstamp is the one that was read before says nothing new."""

    def __call__(self, log: Iterable[RecordChange], seen: Seen) -> dict[Key, State]:
        stamps: dict[Key, object] = {}
        known: dict[Key, State] = {}
        for message in log:
            key = (message.object, message.record_id)
            if message.kind == "snapshot":
                if message.system_modstamp is not None and stamps.get(key) == message.system_modstamp:
                    continue
                stamps[key] = message.system_modstamp
            known[key] = join.join(known.get(key, EMPTY), join.state_of(message))
        return known


MUTANTS: dict[str, Fold] = {
    "the naive rule": stepwise(_whole_row(_naive)),
    "row version, read by its start": stepwise(_whole_row(lambda message: message.version)),
    "row version, patches held until the first base": _held,
    "per field, read by its stamp": joined(_by_stamp),
    "per field, LastModifiedDate": joined(_by_last_modified),
    "no margin": joined(_margin(0)),
    "a margin of 2 s": joined(_margin(2_000)),
    "read by its end": joined(_by_end),
    "no floor to the second": joined(_no_floor),
    "read wins ties": joined(_read_wins_ties),
    "commit number before commit time": joined(_number_first),
    "commit time alone": joined(_time_alone),
    "last arrival in a second": joined(_last_arrival),
    "delete drops the row": stepwise(_delete_drops),
    "nulls not written": joined(_no_nulls),
    "create taken as a full base": joined(_create_is_full),
    "a read with an unchanged stamp skipped": _SkipsUnchanged(),
    "a newer read resets all versions": stepwise(_newer_read_resets),
    "events before the end of the copy dropped": joined(_drop_until_copied),
}

RIGHT: Fold = joined(right)
