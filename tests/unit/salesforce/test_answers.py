"""What an HTTP answer means."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from services.salesforce import answers
from services.salesforce.answers import Usage
from services.salesforce.errors import (
    BadRequest,
    Duplicate,
    LimitExceeded,
    NotFound,
    Refused,
    SalesforceError,
    Unavailable,
)


def _one(code: str, message: str = "m") -> list[dict[str, str]]:
    return [{"errorCode": code, "message": message}]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("api-usage=18/5000", Usage(18, 5000)),
        ("api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)", Usage(25, 5000)),
        ("per-app-api-usage=17/250(appName=x); api-usage=25/5000", Usage(25, 5000)),
        ("per-app-api-usage=17/250(appName=x)", None),
        ("api-usage=0/0", None),
        ("", None),
    ],
)
def test_usage_is_the_orgs_own(header: str, expected: Usage | None) -> None:
    assert answers.usage({"Sforce-Limit-Info": header}) == expected


@given(
    began=st.integers(1_600_000_000_000, 1_900_000_000_000),
    worked=st.integers(0, 120_000),
    travelled=st.integers(0, 5_000),
)
def test_start_is_never_later_than_the_request(began: int, worked: int, travelled: int) -> None:
    """The org stamps its answer when it is done, in whole seconds; we measure until it has arrived."""
    date = formatdate((began + worked) // 1000, usegmt=True)
    elapsed = (worked + travelled) / 1000

    lower = answers.began_ms({"Date": date}, elapsed)

    assert lower is not None
    assert began - 1_000 - travelled - 1 <= lower <= began


def test_answer_without_a_date_has_no_start() -> None:
    assert answers.began_ms({}, 1.0) is None
    assert answers.began_ms({"Date": "soon"}, 1.0) is None


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (503, "<html>", Unavailable),
        (500, _one("UNKNOWN_EXCEPTION"), Unavailable),
        (429, "", Unavailable),
        (403, "<html>proxy</html>", Unavailable),
        (400, {"error": "x"}, Unavailable),
        (401, _one("INVALID_SESSION_ID"), Refused),
        (403, _one("API_DISABLED_FOR_ORG"), Refused),
        (403, _one("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), LimitExceeded),
        (400, _one("LIMIT_EXCEEDED", "Max bulk v2 query jobs (10000) per 24 hrs has been reached"), LimitExceeded),
        (404, _one("NOT_FOUND"), NotFound),
        (404, _one("ENTITY_IS_DELETED"), NotFound),
        (400, _one("MALFORMED_QUERY"), BadRequest),
        (414, "<html>URI too long</html>", BadRequest),
        (409, _one("API_VERSION_MISMATCH"), BadRequest),
        (400, _one("DUPLICATE_VALUE"), Duplicate),
    ],
)
def test_status_and_code_decide_the_error(status: int, content: Any, expected: type[SalesforceError]) -> None:
    assert type(answers.error_of(status, content, "GET")) is expected


def test_limits_are_told_apart() -> None:
    def kind(message: str) -> str:
        error = answers.error_of(403, _one("REQUEST_LIMIT_EXCEEDED", message), "GET")
        assert isinstance(error, LimitExceeded)
        return error.kind

    assert kind("TotalRequests Limit exceeded.") == "daily"
    assert kind("ConcurrentRequests (Concurrent API Requests) Limit exceeded.") == "concurrent"
    assert kind("ConcurrentPerOrgLongTxn Limit exceeded") == "concurrent"


def test_only_a_write_that_may_have_arrived_is_of_unknown_outcome() -> None:
    assert answers.error_of(503, "", "POST").unknown_outcome
    assert not answers.error_of(503, "", "GET").unknown_outcome
    assert not answers.error_of(429, "", "POST").unknown_outcome
    assert not answers.error_of(400, _one("MALFORMED_QUERY"), "POST").unknown_outcome


def test_duplicate_names_field_and_record() -> None:
    message = "duplicate value found: Umbra_Idempotency_Key__c duplicates value on record with id: 801000000000001"

    error = answers.error_of(400, _one("DUPLICATE_VALUE", message), "POST")

    assert isinstance(error, Duplicate)
    assert (error.field, error.existing) == ("Umbra_Idempotency_Key__c", "801000000000001AAA")


def test_headers_are_found_in_any_case() -> None:
    assert answers.usage(CaseInsensitiveDict({"sforce-limit-info": "api-usage=1/2"})) == Usage(1, 2)
