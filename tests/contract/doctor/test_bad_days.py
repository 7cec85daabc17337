"""What only a bad day shows: a clock that is off, permissions that Pub/Sub enforces, allowances that are spent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.doctor.conftest import Doctor
from tests.support.salesforce_sim import Simulator

pytestmark = pytest.mark.usefixtures("put_right")
_STATUS = "/event/Order_Status__e"


@pytest.fixture
def put_right(sim: Simulator) -> Iterator[None]:
    """Takes the bad day off again."""
    yield
    sim.do("DELETE", "/faults")
    sim.do("POST", "/clock", {"offset_ms": 0})


def _fault(sim: Simulator, kind: str, **more: object) -> None:
    sim.do("POST", "/faults", {"fault": kind, **more})


async def test_a_clock_behind_the_orgs_by_minutes_is_why_a_signed_login_is_refused(
    salesforce: Doctor, key_login: dict[str, str], sim: Simulator
) -> None:
    sim.do("POST", "/clock", {"offset_ms": 400_000})

    report = await salesforce.look("salesforce")

    assert "behind the org's, so the assertion has expired" in report.of("salesforce.login")["detail"]
    assert report.of("salesforce.clock")["level"] == "FAIL"
    assert "NTP" in report.of("salesforce.clock")["remedy"]


@pytest.mark.parametrize(("offset_ms", "way"), [(30_000, "behind"), (-30_000, "ahead of")])
async def test_a_clock_that_differs_a_little_is_a_warning(
    salesforce: Doctor, sim: Simulator, offset_ms: int, way: str
) -> None:
    sim.do("POST", "/clock", {"offset_ms": offset_ms})

    finding = (await salesforce.look("salesforce")).of("salesforce.clock")

    assert finding["level"] == "warn"
    assert way in finding["detail"]


async def test_a_topic_that_is_kept_from_the_user_asks_for_view_all(salesforce: Doctor, sim: Simulator) -> None:
    _fault(sim, "pubsub.error", rpc="GetTopic", code="topic.meta.permission", match="/data/PricebookEntry*")

    report = await salesforce.look("salesforce")

    assert [finding["check"] for finding in report.not_ok()] == ["salesforce.events.PricebookEntryChangeEvent"]
    assert "View All Data" in report.not_ok()[0]["remedy"]


@pytest.mark.parametrize("match", ["GET *", "GET /query*"])
async def test_spent_calls_end_the_section_with_the_cause(salesforce: Doctor, sim: Simulator, match: str) -> None:
    _fault(sim, "rest.refuse", reason="daily_limit", match=match)

    report = await salesforce.look("salesforce")

    assert report.of("salesforce.allowances.api")["level"] == "FAIL"
    assert "spent" in report.of("salesforce.allowances.api")["detail"]


async def test_a_short_subscription_proves_what_topics_only_promise(salesforce: Doctor, sim: Simulator) -> None:
    order = sim.do("GET", "/orders")["orders"][0]["id"]
    sim.do("POST", f"/orders/{order}/status", {"status": "Activating"})
    await_status = await salesforce.look("salesforce", subscribe=True)

    found = {f["check"].rpartition(".")[2]: f for f in await_status.findings if ".subscribe." in f["check"]}
    assert {finding["level"] for finding in found.values()} == {"ok"}
    assert "received and decoded" in found["Order_Status__e"]["detail"]
    assert "not refused" in found["Product2ChangeEvent"]["detail"]
    assert await_status.document["deliveries"] == 2  # the order's own change, and the status


async def test_a_refused_subscription_is_found_though_its_topic_may_be_seen(salesforce: Doctor, sim: Simulator) -> None:
    _fault(sim, "pubsub.error", code="subscription.topic.cannot.subscribe", match="/data/Account*")
    _fault(sim, "pubsub.error", code="subscription.limit.exceeded", match=_STATUS)

    report = await salesforce.look("salesforce", subscribe=True)

    assert report.of("salesforce.events.AccountChangeEvent")["level"] == "ok"
    assert "View All" in report.of("salesforce.subscribe.AccountChangeEvent")["remedy"]
    assert "24 hours" in report.of("salesforce.subscribe.Order_Status__e")["remedy"]
