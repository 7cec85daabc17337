"""sf_record: reads what is known, joins what is new, writes what moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.join import ALIVE, EMPTY, State, join, moves
from schemas.mapping import Mapping as FieldMapping
from schemas.versions import Version
from services.projector import project
from services.projector.batch import Key
from services.projector.link import Link

GONE = State(payload={ALIVE: True})
"""In place of the state of a record of which there is none."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A record whose state changed, and what it competes for or hangs on now."""

    state: State
    claim: str | None


async def move(
    link: Link, mapping: FieldMapping, changes: Mapping[Key, State], *, repair: bool = False
) -> dict[Key, Moved]:
    """Join `changes` into what is stored; the records that it changed.

    repair: take equal versions too, for records that were once written wrongly. All of `changes` counts as moved
        then, so that the rows are compared; what is equal is not written again.
    """
    if not changes:
        return {}
    stored = await read(link, changes)
    moved: dict[Key, Moved] = {}
    for key, new in changes.items():
        old = stored.get(key, EMPTY)
        if repair or key not in stored or moves(old, new):
            state = join(new, old) if repair else join(old, new)
            moved[key] = Moved(state, project.claim(mapping, key, state))
    await replace(link, {key: each for key, each in moved.items() if not repair or stored.get(key) != each.state})
    if repair:
        await _mend_claims(link, moved)
    return moved


async def read(link: Link, keys: Iterable[Key]) -> dict[Key, State]:
    """What is known of some records."""
    wanted = list(keys)
    rows = await link.rows("state_read", [key.object for key in wanted], [key.record_id for key in wanted])
    return {Key(row[0], row[1]): _state(row[2], row[3], row[4], row[5]) for row in rows}


async def claimants(link: Link, name: str, claims: Iterable[str]) -> dict[str, State]:
    """The records of one object that want one of `claims`, by id."""
    rows = await link.rows("state_claimants", name, sorted(claims))
    return {row[0]: _state(row[1], row[2], row[3], row[4]) for row in rows}


async def _mend_claims(link: Link, moved: Mapping[Key, Moved]) -> None:
    rows = sorted(moved.items())
    await link.rows(
        "state_mend_claims",
        [key.object for key, _ in rows],
        [key.record_id for key, _ in rows],
        [each.claim for _, each in rows],
    )


async def replace(link: Link, moved: Mapping[Key, Moved]) -> None:
    """Write states as they are, whatever is stored."""
    if not moved:
        return
    rows = sorted(moved.items())
    await link.rows(
        "state_write",
        [key.object for key, _ in rows],
        [key.record_id for key, _ in rows],
        [text(each.state.payload) for _, each in rows],
        [each.state.base for _, each in rows],
        [text(each.state.newer) for _, each in rows],
        [each.state.dirty for _, each in rows],
        [each.claim for _, each in rows],
    )


_ENCODE = msgspec.json.Encoder().encode
_PAYLOAD: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])
_NEWER: msgspec.json.Decoder[dict[str, Version]] = msgspec.json.Decoder(dict[str, Version])


def text(value: Any) -> str:
    """JSON text, as a jsonb parameter takes it."""
    return _ENCODE(value).decode()


def payload(json: str) -> dict[str, Any]:
    return _PAYLOAD.decode(json)


def _state(payload_json: str, base: str | None, newer: str, dirty: str | None) -> State:
    return State(payload(payload_json), _version(base), _NEWER.decode(newer), _version(dirty))


def _version(text_value: str | None) -> Version | None:
    return None if text_value is None else Version(text_value)
