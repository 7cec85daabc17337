"""SOQL over REST: pages of rows, and cursors that hold a snapshot of the rest."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sandbox.salesforce import ids
from sandbox.salesforce.errors import Refused
from sandbox.salesforce.rest.call import Call, Reply
from sandbox.salesforce.schema import Record
from sandbox.salesforce.soql import run
from sandbox.salesforce.soql.parser import parse
from sandbox.salesforce.soql.rows import rest_rows
from sandbox.salesforce.soql.tree import Query

_MAX_CURSORS = 200  # the oldest goes first
_PAGE = 2000
_PAGE_RANGE = (200, 2000)


@dataclass(frozen=True, slots=True)
class _Cursor:
    query: Query
    found: list[Record]


class Cursors:
    """Open result sets."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, _Cursor] = OrderedDict()
        self._made = secrets.randbelow(62**8)  # a locator from before a restart must lead nowhere

    def add(self, cursor: _Cursor) -> str:
        self._made += 1
        locator = ids.make("01g", self._made)
        self._open[locator] = cursor
        while len(self._open) > _MAX_CURSORS:
            self._open.popitem(last=False)
        return locator

    def get(self, locator: str) -> _Cursor:
        """Raises Refused for a locator that is not open."""
        if (cursor := self._open.get(locator)) is None:
            raise Refused("INVALID_QUERY_LOCATOR", "invalid query locator")
        return cursor


def query(call: Call, cursors: Cursors, *, with_deleted: bool) -> Reply:
    parsed = parse(call.query.get("q", ""))
    obj = run.target(parsed)
    now = call.org.clock.now_ms()
    if parsed.aggregates:
        return _aggregate(call, parsed, now, with_deleted=with_deleted)
    rest_rows(call.org.store, obj, parsed.select, call.base)  # refuses unknown fields before any work
    found = run.select(call.org.store, parsed, now, with_deleted=with_deleted)
    return _page(call, cursors, _Cursor(parsed, found), 0, "")


def more(call: Call, cursors: Cursors, locator: str) -> Reply:
    name, _, start = locator.partition("-")
    if not start.isdigit():
        raise Refused("INVALID_QUERY_LOCATOR", "invalid query locator")
    return _page(call, cursors, cursors.get(name), int(start), name)


def _page(call: Call, cursors: Cursors, cursor: _Cursor, start: int, locator: str) -> Reply:
    render = rest_rows(call.org.store, run.target(cursor.query), cursor.query.select, call.base)
    end = start + _page_size(call)
    body: dict[str, Any] = {"totalSize": len(cursor.found), "done": end >= len(cursor.found)}
    if not body["done"]:
        locator = locator or cursors.add(cursor)
        body["nextRecordsUrl"] = f"{call.base}/query/{locator}-{end}"
    body["records"] = [render(record) for record in cursor.found[start:end]]
    return Reply(200, body)


def _page_size(call: Call) -> int:
    name, _, size = call.headers.get("Sforce-Query-Options", "").partition("=")
    if name.strip().lower() != "batchsize" or not size.strip().isdigit():
        return _PAGE
    return min(max(int(size), _PAGE_RANGE[0]), _PAGE_RANGE[1])


def _aggregate(call: Call, parsed: Query, now: int, *, with_deleted: bool) -> Reply:
    rows = run.aggregate(call.org.store, parsed, now, with_deleted=with_deleted)
    if parsed.bare_count:
        return Reply(200, {"totalSize": next(iter(rows[0].values())), "done": True, "records": []})
    shown = [{"attributes": {"type": "AggregateResult"}, **row} for row in rows]
    return Reply(200, {"totalSize": len(shown), "done": True, "records": shown})
