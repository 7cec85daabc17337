"""What an HTTP answer means: its error, its usage header, when its request began. Pure.

Sources: REST API guide, "Status Codes and Error Responses" and "Sforce-Limit-Info header".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from schemas import ids
from schemas.versions import millis
from services.salesforce.errors import (
    BadRequest,
    Duplicate,
    LimitExceeded,
    NotFound,
    Refused,
    SalesforceError,
    Unavailable,
)

# The long form of the header also holds `per-app-api-usage=17/250(...)`, which is another allowance.
_USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")
_DUPLICATE = re.compile(r"duplicate value found: (\S+) duplicates value on record with id: (\w{15,18})")
_EDGE = frozenset({406, 420, 429})
"""Answers of Salesforce's edge, mostly without a body: nothing was carried out, later may work."""
_OURS = frozenset({405, 413, 414, 415, 431})
"""The request itself cannot be taken, whatever the body of the answer is."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The org's API calls of the last 24 hours, as an answer told it."""

    used: int
    max: int


def usage(headers: Mapping[str, str]) -> Usage | None:
    found = _USAGE.search(headers.get("Sforce-Limit-Info", ""))
    if found is None or int(found[2]) == 0:
        return None
    return Usage(int(found[1]), int(found[2]))


def began_ms(headers: Mapping[str, str], elapsed: float) -> int | None:
    """Lower bound, by the org's clock, of when the request began that was answered after `elapsed` seconds.

    `Date` is cut to whole seconds and cannot be later than the arrival of the answer. None without a Date.
    """
    try:
        answered = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    return millis(answered) - math.ceil(elapsed * 1000)


def error_of(status: int, content: Any, method: str) -> SalesforceError:
    """The error that an answer other than success stands for. 401 is Refused, with Salesforce's own code.

    content: the parsed JSON, or the text where it was none
    """
    errors = _errors(content)
    code, message = _first(errors)
    if code == "REQUEST_LIMIT_EXCEEDED":
        return LimitExceeded("daily" if "TotalRequests" in message else "concurrent", message)
    if status in _EDGE or status >= 500 or (not errors and status not in _OURS):
        sent = f"HTTP {status} {code}".rstrip()
        return Unavailable(sent, unknown_outcome=method != "GET" and status not in _EDGE)
    if status in (401, 403):
        return Refused(code, message)
    if status == 404:
        return NotFound(f"{code}: {message}")
    return _bad_request(status, errors, code, message)


def _errors(content: Any) -> list[dict[str, Any]]:
    """Salesforce's list of errors; empty when the body is anything else."""
    if not isinstance(content, list):
        return []
    return [error for error in content if isinstance(error, dict) and "errorCode" in error]


def _first(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    return (str(errors[0]["errorCode"]), str(errors[0].get("message", ""))) if errors else ("", "")


def _bad_request(status: int, errors: list[dict[str, Any]], code: str, message: str) -> SalesforceError:
    if code == "DUPLICATE_VALUE":
        found = _DUPLICATE.search(message)
        return Duplicate(status, errors, found[1] if found else None, _id(found[2]) if found else None)
    if code == "LIMIT_EXCEEDED":
        return LimitExceeded("bulk", message)
    return BadRequest(status, errors)


def _id(text: str) -> str | None:
    try:
        return ids.parse(text)
    except ValueError:
        return None
