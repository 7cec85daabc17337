"""Nobody hammers Salesforce: pauses grow by why the stream ended, and a stream that lives starts anew."""

from __future__ import annotations

import pytest

from services.ingestor.pauses import LATER, MUCH_LATER, SOON, Pauses
from services.ingestor.watchdog import Silent
from services.salesforce.errors import Refused, Unavailable
from services.salesforce.pubsub.errors import error_of

BY_CODE = [
    ("INTERNAL", "service.unavailable", SOON),
    ("UNAVAILABLE", "", SOON),
    ("UNAUTHENTICATED", "service.auth.error", SOON),
    ("INVALID_ARGUMENT", "subscription.fetch.replay.repeated", SOON),
    ("RESOURCE_EXHAUSTED", "service.protection.stream.limit.triggered", LATER),
    ("RESOURCE_EXHAUSTED", "concurrent.client.limit.exceeded", LATER),
    ("NOT_FOUND", "topic.not.found", LATER),
    ("PERMISSION_DENIED", "topic.meta.permission", LATER),
    ("RESOURCE_EXHAUSTED", "subscription.limit.exceeded", MUCH_LATER),
]


@pytest.mark.parametrize(("status", "code", "kind"), BY_CODE)
def test_first_and_longest_pause_follow_the_reason(status: str, code: str, kind: tuple[float, float]) -> None:
    pauses = Pauses(draw=lambda: 1.0)
    error = error_of(status, code and f"sfdc.platform.eventbus.grpc.{code}", "")

    waits = [pauses.after(error) for _ in range(12)]

    assert (waits[0], waits[-1]) == kind
    assert waits == sorted(waits)


@pytest.mark.parametrize(
    ("error", "kind"),
    [(Silent("quiet"), SOON), (Unavailable("away"), SOON), (Refused("invalid_client", ""), LATER)],
)
def test_login_and_silence_have_their_pauses_too(error: Exception, kind: tuple[float, float]) -> None:
    assert Pauses(draw=lambda: 1.0).after(error) == kind[0]


def test_pauses_are_jittered_but_never_near_nothing() -> None:
    least = Pauses(draw=lambda: 0.0).after(Silent("quiet"))
    most = Pauses(draw=lambda: 1.0).after(Silent("quiet"))

    assert 0 < least < most
    assert least == most / 2


def test_stream_that_brought_something_starts_with_a_short_pause() -> None:
    pauses = Pauses(draw=lambda: 1.0)
    for _ in range(5):
        pauses.after(Silent("quiet"))

    pauses.reset()

    assert pauses.after(Silent("quiet")) == SOON[0]
