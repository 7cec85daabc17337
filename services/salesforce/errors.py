"""Why a call to Salesforce gave no answer, by what its caller does about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from services.kernel.errors import UmbraError


class SalesforceError(UmbraError):
    """Root of the door's errors.

    unknown_outcome: a write was sent and nothing proves whether Salesforce carried it out; read before trying again
    retry_after: seconds after which another try may help, None where nothing says so
    """

    def __init__(self, message: str, *, unknown_outcome: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.unknown_outcome = unknown_outcome
        self.retry_after = retry_after


class Unavailable(SalesforceError):
    """Salesforce is away, or what answered was not Salesforce: serve what is stored, try later."""


class QueueFull(Unavailable):
    """Too many calls of this class or a more urgent one are waiting already."""


class DeadlinePassed(SalesforceError):
    """The caller's time was over before an answer came, in the queue or under way."""


class LimitExceeded(SalesforceError):
    """Salesforce refused the call for its limits; nothing was carried out.

    daily: the API calls of 24 hours are spent; concurrent: too many long calls at once; bulk: the Bulk jobs or
    results of 24 hours are spent
    """

    def __init__(self, kind: Literal["daily", "concurrent", "bulk"], message: str) -> None:
        super().__init__(message)
        self.kind = kind


class BudgetRefused(SalesforceError):
    """The call was not sent, to keep what is left of the daily allowance for more urgent classes.

    floor: the class's share is used up; blocked: Salesforce said so less than a minute ago; unknown: nobody knows
    the usage yet; paced: the class has to go slower; alone: the fleet's counter is away and this class waits
    """

    def __init__(
        self,
        reason: Literal["floor", "blocked", "unknown", "paced", "alone"],
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"call withheld by the API budget: {reason}", retry_after=retry_after)
        self.reason = reason


class Refused(SalesforceError):
    """Salesforce knows us and will not do it, or does not know us: permissions, credentials, a disabled API."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class NotFound(SalesforceError):
    """No such record, job or resource, or it is deleted."""


class BadRequest(SalesforceError):
    """Salesforce understood that the request is wrong; the same request will always be.

    errors: Salesforce's own list, each with errorCode, message and perhaps fields
    """

    def __init__(self, status: int, errors: Sequence[dict[str, Any]]) -> None:
        self.status = status
        self.errors = errors
        self.codes = tuple(str(error.get("errorCode", "")) for error in errors)
        super().__init__("; ".join(f"{e.get('errorCode')}: {e.get('message')}" for e in errors) or f"HTTP {status}")


class Duplicate(BadRequest):
    """A unique field holds this value already.

    field: the unique field, existing: id of the record that has the value; None where Salesforce does not tell
    """

    def __init__(self, status: int, errors: Sequence[dict[str, Any]], field: str | None, existing: str | None) -> None:
        super().__init__(status, errors)
        self.field = field
        self.existing = existing


class Incomplete(SalesforceError):
    """A Bulk job or page holds another number of records than it says: read it again, never take it as whole."""


class JobFailed(SalesforceError):
    """A Bulk job ended without a result; the message is Salesforce's own."""
