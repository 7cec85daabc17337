"""The `updated` and `deleted` resources: which records changed in a span of time."""

from collections.abc import Callable
from datetime import timedelta

from sandbox.salesforce.errors import Refused
from sandbox.salesforce.rest import records
from sandbox.salesforce.rest.call import Call, Reply
from sandbox.salesforce.schema import Record
from sandbox.salesforce.values import instant_ms, rest_time

_UPDATED_SPAN_MS = timedelta(days=30) // timedelta(milliseconds=1)
_DELETED_SPAN_MS = timedelta(days=15) // timedelta(milliseconds=1)
_MINUTE_MS = 60_000


def updated(call: Call, object_name: str) -> Reply:
    """Live records stamped in [start, end); seconds are dropped from both, as the real resource does."""
    start, end = _span(call, _UPDATED_SPAN_MS)
    found = _stamped(call, object_name, start, end, lambda record: not record["IsDeleted"])
    return Reply(200, {"ids": [r["Id"] for r in found], "latestDateCovered": rest_time(_covered(call, end))})


def deleted(call: Call, object_name: str) -> Reply:
    start, end = _span(call, _DELETED_SPAN_MS)
    found = _stamped(call, object_name, start, end, lambda record: bool(record["IsDeleted"]))
    gone = [{"id": r["Id"], "deletedDate": rest_time(int(r["SystemModstamp"] or 0))} for r in found]
    earliest = rest_time(call.org.clock.now_ms() - _DELETED_SPAN_MS)
    return Reply(
        200,
        {
            "deletedRecords": gone,
            "earliestDateAvailable": earliest,
            "latestDateCovered": rest_time(_covered(call, end)),
        },
    )


def _stamped(call: Call, object_name: str, start: int, end: int, keep: Callable[[Record], bool]) -> list[Record]:
    table = call.org.store.tables[records.find_object(object_name).name]
    return [r for r in table.records.values() if keep(r) and start <= int(r["SystemModstamp"] or 0) < end]


def _covered(call: Call, end: int) -> int:
    """An open transaction may still commit records with stamps from its start on."""
    now = call.org.earliest_open_ms()
    return min(end, now - now % 1000)


def _span(call: Call, longest: int) -> tuple[int, int]:
    try:
        start, end = (instant_ms(call.query[name]) for name in ("start", "end"))
    except (KeyError, ValueError):
        raise Refused("INVALID_REPLICATION_DATE", "start and end must be date-times with an offset") from None
    start, end = start - start % _MINUTE_MS, end - end % _MINUTE_MS
    if start >= end:
        raise Refused("INVALID_REPLICATION_DATE", "startDate must be before endDate")
    if start < call.org.clock.now_ms() - longest - _MINUTE_MS:
        raise Refused("INVALID_REPLICATION_DATE", f"startDate cannot be more than {longest // 86_400_000} days ago")
    return start, end
