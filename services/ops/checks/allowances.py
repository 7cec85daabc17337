"""What the org allows a day, what is left of it, and what Umbra will use. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.ops.checks.findings import Finding, fail, ok, warn
from services.ops.checks.shape import ASSIGN
from services.salesforce.calls import CallClass
from services.salesforce.errors import SalesforceError
from services.salesforce.settings import SalesforceSettings

API, BULK, EVENTS = "DailyApiRequests", "DailyBulkV2QueryJobs", "DailyDeliveredPlatformEvents"
_CALLS_PER_HOUR = 2
"""REST calls of a quiet hour at most."""
_CALLS_PER_DELTA = 4
"""Of a nightly delta for one object: what is updated, what is deleted, a page, a confirmation."""
_CALLS_PER_JOB = 12
"""Of a Bulk job for one object: creating it, asking for it, a few pages."""
_ROWS_PER_PAGE = 2_000
_FULL = 0.8
"""Share of an allowance past which a day that is a little busier would exhaust it."""


@dataclass(frozen=True, slots=True)
class Use:
    """What Umbra will use of the org in a day like the last."""

    calls: int
    jobs: int
    events: int


def use_of(changed: Mapping[str, int]) -> Use:
    """changed: records of each object that changed in the last 24 hours; an order's change tells a status too"""
    pages = sum(-(-count // _ROWS_PER_PAGE) for count in changed.values())
    calls = 24 * _CALLS_PER_HOUR + len(changed) * (_CALLS_PER_DELTA + _CALLS_PER_JOB) + pages
    return Use(calls, len(changed), sum(changed.values()) + changed.get("Order", 0))


def examine(
    limits: Mapping[str, Any] | SalesforceError, changed: Mapping[str, int], settings: SalesforceSettings
) -> list[Finding]:
    """limits: what /limits answers, or why it cannot be read."""
    if isinstance(limits, SalesforceError):
        return [
            warn(
                "salesforce.allowances",
                f"they cannot be read: {limits}",
                f"{ASSIGN} (it gives View Setup and Configuration)",
            )
        ]
    use = use_of(changed)
    return [*_api(limits, use, settings), *_bulk(limits, use), *_events(limits, use)]


def _left(limits: Mapping[str, Any], name: str) -> tuple[int, int] | None:
    entry = limits.get(name)
    return None if not entry else (int(entry["Remaining"]), int(entry["Max"]))


def _unknown(check: str, name: str) -> Finding:
    return warn(check, f"the org tells nothing of {name}", "use a newer UMBRA_SALESFORCE_API_VERSION")


def _api(limits: Mapping[str, Any], use: Use, settings: SalesforceSettings) -> Iterator[Finding]:
    check = "salesforce.allowances.api"
    found = _left(limits, API)
    if found is None or found[1] == 0:
        yield _unknown(check, API)
        return
    left, most = found
    stands = (
        f"{left:,} of {most:,} API calls are left of 24 hours; Umbra needs about {use.calls:,} a day without orders"
    )
    stopped = [each.label for each in CallClass if left / most <= settings.floor(each)]
    if CallClass.INTERACTIVE.label in stopped or left < use.calls:
        yield fail(check, stands, "find who spends them (Setup, System Overview), or buy API calls")
    elif stopped:
        yield warn(check, f"{stands}; these wait now: {', '.join(stopped)}", "run backfills when fewer calls are spent")
    else:
        yield ok(check, stands)


def _bulk(limits: Mapping[str, Any], use: Use) -> Iterator[Finding]:
    check = "salesforce.allowances.bulk"
    found = _left(limits, BULK)
    if found is None:
        yield _unknown(check, BULK)
        return
    left, most = found
    stands = f"{left:,} of {most:,} Bulk query jobs are left of 24 hours; a full read of every object takes {use.jobs}"
    if left < use.jobs:
        yield fail(check, stands, "wait for the jobs of the last 24 hours to fall out of the window")
    else:
        yield ok(check, stands)


def _events(limits: Mapping[str, Any], use: Use) -> Iterator[Finding]:
    check = "salesforce.allowances.events"
    found = _left(limits, EVENTS)
    if found is None:
        yield _unknown(check, EVENTS)
        return
    left, most = found
    stands = (
        f"{left:,} of {most:,} event deliveries are left of 24 hours; a day like the last needs at least {use.events:,}"
    )
    more = "buy the add-on for change events, or let fewer records change; past it events wait, at most 72 hours"
    if left == 0 or use.events > most:
        yield fail(check, stands, more)
    elif use.events > most * _FULL or left < use.events:
        yield warn(check, stands, more)
    else:
        yield ok(check, stands)
