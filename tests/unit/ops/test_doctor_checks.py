"""What the doctor's checks make of what they are told: each fault has its own remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas import mapping as mappings
from schemas import topics
from services.kernel import settings
from services.ops.checks import allowances, configured, events, kafka, login, postgres, valkey
from services.ops.checks.allowances import use_of
from services.ops.checks.events import Seen
from services.ops.checks.findings import Finding, fail, ok
from services.ops.topics import Examined
from services.salesforce.errors import Refused, Unavailable
from services.salesforce.pubsub.errors import error_of
from services.salesforce.settings import SalesforceSettings

MAPPING = mappings.load()


def given(**values: str) -> SalesforceSettings:
    good = {
        "login_url": "https://acme.my.salesforce.com",
        "client_id": "3MVG9key",
        "client_secret": "secret",
    }
    environ = {f"UMBRA_SALESFORCE_{name.upper()}": value for name, value in (good | values).items()}
    return settings.load(SalesforceSettings, environ)


def one(**values: str) -> Finding:
    found = configured.examine(given(**values))
    assert len(found) == 1
    return found[0]


def test_a_finding_is_one_line_with_its_remedy_at_the_end() -> None:
    assert fail("kafka.topics", "missing: a", "umbra migrate").line(14) == (
        "FAIL  kafka.topics    missing: a. Fix: umbra migrate"
    )
    assert ok("kafka.topics", "all there").line(14) == "ok    kafka.topics    all there"


@pytest.mark.parametrize(
    "endpoint",
    ["api.pubsub.salesforce.com:7443", "api.pubsub.salesforce.com:443", "api.deu.pubsub.salesforce.com:7443"],
)
def test_every_endpoint_of_salesforce_is_good(endpoint: str) -> None:
    assert one(pubsub=endpoint).level == "ok"


@pytest.mark.parametrize(
    ("values", "level", "remedy"),
    [
        ({"login_url": "https://login.salesforce.com"}, "FAIL", "My Domain"),
        ({"login_url": "https://test.salesforce.com"}, "FAIL", ".sandbox.my.salesforce.com"),
        ({"login_url": "acme.my.salesforce.com"}, "FAIL", "scheme and host"),
        ({"login_url": "https://acme.my.salesforce.com/services/oauth2/token"}, "FAIL", "scheme and host"),
        ({"login_url": "http://acme.my.salesforce.com"}, "FAIL", "https://"),
        ({"login_url": "https://acme.lightning.force.com"}, "FAIL", ".my.salesforce.com"),
        ({"client_secret": "sec\tret"}, "FAIL", "copy it again"),
        ({"ca_file": "/nowhere/ca.pem"}, "FAIL", "UMBRA_SALESFORCE_CA_FILE"),
        ({"api_version": "v67"}, "FAIL", "UMBRA_SALESFORCE_API_VERSION"),
        ({"pubsub": "api.pubsub.salesforce.com"}, "FAIL", "host:port"),
        ({"pubsub_plaintext": "true"}, "FAIL", "PLAINTEXT"),
        ({"pubsub": "127.0.0.1:7443"}, "FAIL", "UMBRA_SALESFORCE_PUBSUB"),
        ({"pubsub": "proxy.acme.example:7443"}, "warn", "api.deu.pubsub.salesforce.com"),
        ({"username": "a@b.c", "private_key_file": "key.pem"}, "warn", "unset"),
    ],
)
def test_settings_that_do_not_go_together_name_what_to_set(values: dict[str, str], level: str, remedy: str) -> None:
    finding = one(**values)

    assert finding.level == level
    assert remedy in str(finding.remedy)


def test_shared_hosts_are_good_for_a_signed_login(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("no key")

    finding = one(
        login_url="https://login.salesforce.com", client_secret="", username="a@b.c", private_key_file=str(key)
    )

    assert "openssl" in str(finding.remedy)  # of the key alone


@pytest.mark.parametrize(
    ("told", "before", "after", "ahead"),
    [(100.0, 99.0, 101.0, 0.0), (100.0, 160.0, 161.0, 60.0), (100.0, 40.0, 41.0, -59.0)],
)
def test_drift_is_the_least_that_explains_what_was_told(told: float, before: float, after: float, ahead: float) -> None:
    assert login.drift_of(told, before, after) == ahead


@pytest.mark.parametrize(
    ("drift", "level", "way"),
    [(0.4, "ok", "agrees"), (30.0, "warn", "ahead of"), (-30.0, "warn", "behind"), (-400.0, "FAIL", "behind")],
)
def test_a_clock_that_differs_is_said_with_its_direction(drift: float, level: str, way: str) -> None:
    finding = login.clock(drift)

    assert (finding.level, way in finding.detail) == (level, True)


def test_an_expired_assertion_blames_the_clock_only_when_it_differs() -> None:
    refusal = Refused("invalid_grant", "expired authorization code")

    assert "400 s behind" in login.refused(given(), refusal, -400.0).detail
    assert "behind" not in login.refused(given(), refusal, 0.2).detail
    assert "NTP" in str(login.refused(given(), refusal, None).remedy)


def test_topic_refused_for_permission_asks_for_view_all() -> None:
    refusal = error_of("PERMISSION_DENIED", "sfdc.platform.eventbus.grpc.topic.meta.permission", "no permission")

    finding = events.judge(Seen("/data/OrderChangeEvent", error=refusal), MAPPING, given())

    assert "View All Records" in str(finding.remedy)


def test_topic_that_may_not_be_subscribed_to_asks_for_view_all() -> None:
    finding = events.judge(Seen("/data/Product2ChangeEvent"), MAPPING, given())

    assert finding.level == "FAIL"
    assert "View All Data" in str(finding.remedy)


def test_field_that_no_event_carries_is_a_warning_of_the_object_and_a_fault_of_the_platform_event() -> None:
    change = Seen("/data/AccountChangeEvent", can_subscribe=True, fields=frozenset({"Internet_Eligibility__c"}))
    status = Seen("/event/Order_Status__e", can_subscribe=True, fields=frozenset({"Order_Id__c"}))

    assert events.judge(change, MAPPING, given()).level == "warn"
    assert "Credit_Status__c" in events.judge(change, MAPPING, given()).detail
    assert events.judge(status, MAPPING, given()).level == "FAIL"


def test_selection_that_cannot_be_read_says_where_to_look() -> None:
    finding = events.selection(Unavailable("HTTP 500"), topics.SALESFORCE_TOPICS)

    assert finding.level == "warn"
    assert "Change Data Capture" in str(finding.remedy)


def test_a_day_of_changes_is_counted_in_calls_and_deliveries() -> None:
    quiet, busy = use_of({"Product2": 0, "Order": 0}), use_of({"Product2": 4_001, "Order": 10})

    assert quiet.events == 0
    assert busy.events == 4_001 + 2 * 10
    assert busy.calls - quiet.calls == 4
    assert quiet.jobs == 2


def _limits(**changed: tuple[int, int]) -> dict[str, Any]:
    good = {allowances.API: (90_000, 100_000), allowances.BULK: (9_000, 10_000), allowances.EVENTS: (24_000, 25_000)}
    return {name: {"Remaining": left, "Max": most} for name, (left, most) in (good | changed).items()}


@pytest.mark.parametrize(
    ("changed", "level"), [(1_000, "ok"), (24_000, "warn"), (26_000, "FAIL")], ids=["quiet", "nearly", "past"]
)
def test_deliveries_of_a_day_like_the_last_have_to_fit(changed: int, level: str) -> None:
    found = allowances.examine(_limits(), {"Product2": changed}, given())

    assert {f.check: f.level for f in found}["salesforce.allowances.events"] == level


def test_a_low_allowance_names_the_classes_that_wait() -> None:
    found = allowances.examine(_limits(DailyApiRequests=(20_000, 100_000)), {}, given())

    assert "delta, backfill" in found[0].detail


def test_a_limit_that_the_org_does_not_tell_is_a_warning() -> None:
    assert {finding.level for finding in allowances.examine({}, {}, given())} == {"warn"}


def test_topics_missing_changed_or_grown_have_different_remedies() -> None:
    found = kafka.judge(Examined(["a"], ["b has 8 partitions, not 4"], ["c has retention.ms=1, not 2592000000"]))

    assert [f.level for f in found] == ["FAIL", "FAIL", "warn"]
    assert found[0].remedy == "umbra migrate"
    assert "re-home" in str(found[1].remedy)
    assert "--entity-name c --add-config retention.ms=2592000000" in str(found[2].remedy)


def test_schema_is_compared_with_the_packaged_migrations() -> None:
    known = postgres.packaged()

    assert postgres.migrations(known, known).level == "ok"
    assert postgres.migrations([], known).remedy == "umbra migrate, as the owner"
    assert postgres.migrations([*known, "20990101000000"], known).level == "warn"


def test_roles_are_told_apart() -> None:
    good = {"reads": True, "writes_any": False, "writes_all": False}
    both = {postgres.READER: good, postgres.PROJECTOR: {**good, "writes_any": True, "writes_all": True}}

    assert [f.level for f in postgres.roles(both)] == ["ok"]
    assert [f.level for f in postgres.roles({})] == ["warn", "warn"]
    assert "REVOKE" in str(postgres.roles(both | {postgres.READER: {**good, "writes_any": True}})[0].remedy)
    assert "cannot read" in postgres.roles(both | {postgres.READER: {**good, "reads": False}})[0].detail
    assert "cannot write" in postgres.roles(both | {postgres.PROJECTOR: good})[0].detail


@pytest.mark.parametrize(
    ("limit", "policy", "level"),
    [
        (0, "noeviction", "ok"),
        (2**26, "allkeys-lfu", "ok"),
        (2**26, "volatile-lru", "ok"),
        (2**26, "noeviction", "warn"),
    ],
)
def test_a_full_valkey_has_to_drop_something(limit: int, policy: str, level: str) -> None:
    assert valkey.memory({"maxmemory": limit, "maxmemory_policy": policy}).level == level
