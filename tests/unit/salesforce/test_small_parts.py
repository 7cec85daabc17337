"""Breaker, starts, SOQL text, settings and token answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel import settings
from services.kernel.settings import SettingsError
from services.salesforce import login, soql
from services.salesforce.breaker import Breaker
from services.salesforce.calls import CallClass
from services.salesforce.errors import Refused, Unavailable
from services.salesforce.settings import SalesforceSettings
from services.salesforce.starts import Starts

BASE = {"UMBRA_SALESFORCE_LOGIN_URL": "https://org.my.salesforce.com", "UMBRA_SALESFORCE_CLIENT_ID": "id"}
ANSWER = {
    "access_token": "00D!x",
    "instance_url": "https://org.my.salesforce.com/",
    "id": "https://login.salesforce.com/id/00D000000000001AAA/005000000000001AAA",
    "issued_at": "1700000000500",
}


def test_breaker_opens_after_failures_in_a_row_only() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.failed(0.0)
    breaker.worked()
    for _ in range(4):
        breaker.failed(0.0)
    assert breaker.wait(0.0) is None

    breaker.failed(0.0)

    assert breaker.is_open
    assert (breaker.wait(0.0) or 0) > 0


def test_open_breaker_lets_one_call_look_and_closes_when_it_works() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0.0)

    assert breaker.wait(5.0) is None
    assert breaker.wait(5.0) is not None

    breaker.worked()
    assert breaker.wait(5.0) is None
    assert not breaker.is_open


def test_breaker_looks_less_often_the_longer_it_lasts() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0.0)
    now = 0.0
    pauses = []
    for _ in range(8):
        now += breaker.wait(now) or 0.0
        assert breaker.wait(now) is None
        breaker.failed(now)
        pauses.append(breaker.wait(now) or 0.0)

    assert pauses[-1] > 5 * pauses[0]
    assert max(pauses) <= 30


@given(st.lists(st.integers(0, 50), max_size=200))
def test_starts_are_unique_and_hardly_moved(asked: list[int]) -> None:
    starts = Starts()

    given_out = [starts.take(ms) for ms in asked]

    assert len(set(given_out)) == len(given_out)
    assert all(0 <= got - ms <= len(asked) for got, ms in zip(given_out, asked, strict=True))


def test_slow_read_keeps_its_early_start() -> None:
    starts = Starts()
    starts.take(100_000)

    assert starts.take(20_000) == 20_000


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_literal_never_ends_early(text: str) -> None:
    quoted = soql.literal(text)

    inside = quoted[1:-1].replace("\\\\", "").replace("\\'", "")
    assert quoted.startswith("'")
    assert quoted.endswith("'")
    assert "'" not in inside
    assert "\n" not in quoted


def test_queries_read_as_soql() -> None:
    assert soql.select(["Id", "Name"], "Product2") == "SELECT Id, Name FROM Product2"
    assert soql.count("Order", soql.among("Id", ["a", "b"])) == "SELECT COUNT() FROM Order WHERE Id IN ('a','b')"


def test_settings_need_one_of_the_two_logins() -> None:
    with pytest.raises(SettingsError, match="UMBRA_SALESFORCE_CLIENT_SECRET"):
        settings.load(SalesforceSettings, BASE)

    by_secret = settings.load(SalesforceSettings, {**BASE, "UMBRA_SALESFORCE_CLIENT_SECRET": "s3cret"})
    assert "s3cret" not in repr(by_secret)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UMBRA_SALESFORCE_CONCURRENCY", "25"),
        ("UMBRA_SALESFORCE_CONCURRENCY", "0"),
        ("UMBRA_SALESFORCE_FLOOR_WRITE", "1"),
        ("UMBRA_SALESFORCE_CALL_SECONDS", "0"),
    ],
)
def test_bad_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.load(SalesforceSettings, {**BASE, "UMBRA_SALESFORCE_CLIENT_SECRET": "s", name: value})


def test_more_urgent_classes_have_lower_floors() -> None:
    loaded = settings.load(SalesforceSettings, {**BASE, "UMBRA_SALESFORCE_CLIENT_SECRET": "s"})

    order = [CallClass.WRITE, CallClass.INTERACTIVE, CallClass.REPAIR, CallClass.DELTA, CallClass.BACKFILL]
    floors = [loaded.floor(call_class) for call_class in order]
    assert floors == sorted(floors)


def test_token_answer_gives_org_and_origin() -> None:
    token = login.token_of(200, ANSWER)

    assert token.organization_id == "00D000000000001AAA"
    assert token.instance_url == "https://org.my.salesforce.com"
    assert token.issued_at == 1_700_000_000.5
    assert "00D!x" not in repr(token)


def test_token_answer_that_is_none_is_told_from_a_refusal() -> None:
    with pytest.raises(Refused, match="invalid_grant: user hasn't approved"):
        login.token_of(400, {"error": "invalid_grant", "error_description": "user hasn't approved this consumer"})
    for status, body in ((503, None), (200, {}), (200, {**ANSWER, "id": "x"})):
        with pytest.raises(Unavailable):
            login.token_of(status, body)
