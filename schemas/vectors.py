"""Test vectors of the version and the join, for whoever implements them in another language.

Each case is a list of changes of one record and the state that they join to, in any order.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from schemas import join, versions
from schemas.events import RecordChange

FILE = Path(__file__).parent / "vectors" / "join.json"
_MARGIN = 5_000
_T0 = 1_700_000_000_000


def text() -> str:
    document = {
        "about": "Join the changes of a case in any order, any number of times: the state is always the same.",
        "margin_ms": _MARGIN,
        "versions": _versions(),
        "cases": [_case(name, changes) for name, changes in _cases().items()],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _versions() -> list[dict[str, Any]]:
    number = 1_709_303_151_782_928_388  # of a real event; above 2^53, so a string in JSON
    return [
        {
            "of": "change event",
            "commit_ms": 1_709_303_151_000,
            "commit_number": str(number),
            "sequence": 1,
            "version": versions.event_version(1_709_303_151_000, number, 1),
        },
        {
            "of": "read",
            "began_ms": _T0 + 7_321,
            "margin_ms": _MARGIN,
            "version": versions.read_version(_T0 + 7_321, _MARGIN),
        },
        {
            "of": "status",
            "occurred_ms": _T0,
            "source": "salesforce",
            "commit_number": "7",
            "sequence": 2,
            "terminal": True,
            "event_id": "0000000000076f5b0000-801000000000001AAA",
            "version": versions.status_version(
                _T0, "salesforce", 7, 2, True, "0000000000076f5b0000-801000000000001AAA"
            ),
        },
    ]


def _event(kind: Any, at: int, number: int, **fields: Any) -> RecordChange:
    version = versions.event_version(_T0 + at, number, 1)
    return RecordChange(
        kind=kind, object="Product2", record_id="01t000000000001AAA", version=version, origin="cdc", fields=fields
    )


def _read(kind: Any, at: int, **fields: Any) -> RecordChange:
    return RecordChange(
        kind=kind,
        object="Product2",
        record_id="01t000000000001AAA",
        version=versions.read_version(_T0 + at, _MARGIN),
        origin="backfill",
        fields=fields,
        covers="all" if kind == "snapshot" else None,
    )


def _cases() -> dict[str, list[RecordChange]]:
    return {
        "a sparse update, then a read begun before it fills the rest": [
            _event("update", 103_000, 9, a=4),
            _read("snapshot", 102_000, a=1, b=2, IsDeleted=False),
        ],
        "an update out of order with the create": [
            _event("update", 101_000, 2, a=4),
            _event("create", 100_000, 1, a=1, b=2),
        ],
        "a lost update redelivered after a later one": [
            _event("create", 100_000, 1, a=1, b=2),
            _event("update", 121_000, 3, a=5),
            _event("update", 101_000, 2, b=4),
        ],
        "not found, read before an undelete was visible": [
            _event("create", 100_000, 1, a=1),
            _event("delete", 101_000, 2),
            _event("undelete", 102_000, 3, a=1),
            _read("absent", 104_000),
        ],
        "two updates in one second are ordered by their commit": [
            _event("create", 100_000, 1, a=1),
            _event("update", 107_000, 2, a=2),
            _event("update", 107_000, 3, a=3),
        ],
        "explicit null is a value": [
            _event("create", 100_000, 1, a=1, b=2),
            _event("update", 107_000, 2, b=None),
        ],
        "a mark without content, and the read that proves it": [
            _event("create", 100_000, 1, a=1),
            _event("dirty", 110_000, 2),
            _read("snapshot", 116_000, a=7, IsDeleted=False),
        ],
        "a mark that no read has proved yet": [
            _event("create", 100_000, 1, a=1),
            _read("snapshot", 115_999, a=1, IsDeleted=False),
            _event("dirty", 111_000, 2),
        ],
        "a full read clears the map of newer fields": [
            _event("update", 101_000, 2, a=4),
            _read("snapshot", 200_000, a=4, b=2, IsDeleted=False),
        ],
        "a delete keeps the fields and wins over an older read": [
            _event("create", 100_000, 1, a=1),
            _event("delete", 150_000, 2),
            _read("snapshot", 151_000, a=1, IsDeleted=False),
        ],
    }


def _case(name: str, changes: list[RecordChange]) -> dict[str, Any]:
    state = join.join_all(join.state_of(change) for change in changes)
    return {
        "name": name,
        "changes": [msgspec.to_builtins(change) for change in changes],
        "state": {
            "payload": dict(sorted(state.payload.items())),
            "base": state.base,
            "newer": dict(sorted(state.newer.items())),
            "dirty": state.dirty,
        },
        "alive": state.alive,
        "is_dirty": state.is_dirty,
    }
