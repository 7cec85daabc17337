"""What a failed try means, and whether another one helps. Pure."""

from __future__ import annotations

import requests
from simple_salesforce.exceptions import SalesforceError as LibraryError

from services.salesforce import answers
from services.salesforce.errors import (
    BadRequest,
    DeadlinePassed,
    Duplicate,
    LimitExceeded,
    NotFound,
    Refused,
    SalesforceError,
    Unavailable,
)
from services.salesforce.transport import Seen

FAILURES = (requests.RequestException, LibraryError, SalesforceError)
"""What a try may raise; anything else is a fault of ours."""

MOST_TRIES = 4


def error_of(error: Exception, seen: Seen | None, *, late: bool) -> SalesforceError:
    """The door's own error for one of `FAILURES`.

    seen: what was seen of the request, None where none was made; late: the caller's deadline has passed
    """
    unknown = seen is not None and seen.sent and seen.method != "GET"
    if isinstance(error, SalesforceError):
        return error
    if isinstance(error, LibraryError):
        made = answers.error_of(error.status, error.content, seen.method if seen else "GET")
        made.retry_after = seen.retry_after if seen else None
        return made
    if late:
        return DeadlinePassed("no answer before the deadline", unknown_outcome=unknown)
    return Unavailable(f"no answer: {type(error).__name__}", unknown_outcome=unknown)


def expired(seen: Seen | None) -> bool:
    """Salesforce did not accept the token, and so carried nothing out."""
    return seen is not None and seen.status == 401


def spent(error: SalesforceError | None) -> bool:
    """Salesforce refused the call because the day's API calls are used up."""
    return isinstance(error, LimitExceeded) and error.kind == "daily"


def another_try_helps(error: SalesforceError, seen: Seen | None, tries: int) -> bool:
    """Whether the same request may be sent again after a pause.

    A read may; a write only where it cannot have reached Salesforce. The day's limit will not be gone in a moment.
    """
    if tries >= MOST_TRIES or seen is None:
        return False
    if isinstance(error, Unavailable):
        return seen.method == "GET" or not seen.sent
    return isinstance(error, LimitExceeded) and error.kind == "concurrent" and seen.method == "GET"


def outcome_of(error: SalesforceError) -> str:
    """The error as a metric label."""
    if isinstance(error, LimitExceeded):
        return f"limit_{error.kind}"
    names: list[tuple[type[SalesforceError], str]] = [
        (Unavailable, "unavailable"),
        (DeadlinePassed, "deadline"),
        (Refused, "refused"),
        (NotFound, "not_found"),
        (Duplicate, "duplicate"),
        (BadRequest, "bad_request"),
    ]
    return next((name for kind, name in names if isinstance(error, kind)), "failed")
