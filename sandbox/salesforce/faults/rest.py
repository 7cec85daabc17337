"""Faults of HTTP: REST, Bulk and login alike.  Their subject is method and path below the version: "GET /query".

A subject with its query string is looked at too, so "GET /query?*FROM Product2*" meets the queries of one object.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from sandbox.salesforce.faults.fault import Fault, Natural, Seconds

When: TypeAlias = Literal["before", "after"]
Reason: TypeAlias = Literal[
    "daily_limit",
    "concurrent_limit",
    "long_transactions",
    "invalid_session",
    "api_disabled",
    "unknown_exception",
    "server_unavailable",
    "query_timeout",
    "row_lock",
    "bulk_jobs_limit",
    "bulk_storage_limit",
    "not_found",
]


class Refuse(Fault, frozen=True, tag="rest.refuse"):
    """A call is refused with an error list as the API writes them."""

    reason: Reason = "unknown_exception"


class Page(Fault, frozen=True, tag="rest.page"):
    """A call gets an answer that is not the API's: no body, a page, or text.

    status: 420 is the edge's own, 406 and 429 come without a body; 200 is a page where JSON was due
    retry_after: the seconds its Retry-After header names
    """

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 420
    body: Literal["html", "empty", "text"] = "html"
    retry_after: Natural | None = None


class BrokenOff(Fault, frozen=True, tag="rest.broken_off"):
    """An answer's body ends early.

    keep: the part of it that is sent
    how: "cut" resets the connection there, "short" ends the answer there as if it were whole
    """

    keep: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.5
    how: Literal["cut", "short"] = "cut"


class Slow(Fault, frozen=True, tag="rest.slow"):
    """An answer is late.

    when: before the call is carried out, or after it
    """

    seconds: Seconds = 5.0
    when: When = "before"


class Hang(Fault, frozen=True, tag="rest.hang"):
    """A call gets no answer, on a connection that stays open until the fault is taken off.

    when: before the call is carried out, or after it
    """

    when: When = "before"


class Drop(Fault, frozen=True, tag="rest.drop"):
    """The connection is reset in place of an answer.

    when: before the call is carried out, or after it
    """

    when: When = "before"


class LimitInfo(Fault, frozen=True, tag="rest.limit_info"):
    """The Sforce-Limit-Info header has its long form, is absent, or makes no sense."""

    form: Literal["per_app", "absent", "garbled"] = "per_app"


class LoginRefuse(Fault, frozen=True, tag="login.refuse"):
    """The token endpoint refuses.  Its subject is the grant type."""

    error: str = "invalid_grant"
    description: str = "authentication failure"


class Revoke(Fault, frozen=True, tag="session.revoke"):
    """The token a call or stream came with is void from then on, and so it is refused.

    on: "call" meets HTTP calls and rpcs as they begin; "stream" a Subscribe that runs
    tokens: that one, or every token given out so far
    """

    on: Literal["call", "stream"] = "call"
    tokens: Literal["one", "all"] = "one"


HttpFault: TypeAlias = Refuse | Page | BrokenOff | Slow | Hang | Drop | LimitInfo | LoginRefuse | Revoke
