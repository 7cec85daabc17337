"""What the provisioning system does with an order follows from the order alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.fulfilment import steps
from sandbox.fulfilment.steps import ACTIVATING, OrderState, Step

ORDER = "801000000000001AAA"
BEGAN = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def ahead(
    status: str, *, created_at: datetime = BEGAN, since: datetime | None = BEGAN, fail_every: int = 0
) -> list[Step]:
    return list(steps.ahead(ORDER, OrderState(status, created_at), since=since, fail_every=fail_every))


def test_new_order_is_activated() -> None:
    assert ahead("Draft") == [Step("Activating"), Step("Activated")]


def test_order_left_half_way_is_taken_up_again() -> None:
    assert ahead("Activating") == [Step("Activating"), Step("Activated")]


@pytest.mark.parametrize("status", ["Activated", "Completed", "Failed", "Cancelled"])
def test_order_beyond_the_steps_is_left_alone(status: str) -> None:
    assert ahead(status) == []


def test_order_made_before_the_first_start_is_left_alone() -> None:
    assert ahead("Draft", created_at=BEGAN - timedelta(seconds=1)) == []


def test_order_of_any_age_is_taken_when_there_is_no_limit() -> None:
    assert ahead("Draft", created_at=BEGAN - timedelta(days=400), since=None) != []


def test_every_order_fails_with_a_reason_when_one_in_one_does() -> None:
    assert ahead("Draft", fail_every=1) == [Step("Activating"), Step("Failed", "LINE_UNAVAILABLE")]


def test_about_one_order_in_four_fails_and_always_the_same_ones() -> None:
    orders = [f"801{number:012d}AAA" for number in range(400)]

    failed = {order for order in orders if steps.last(order, 4).status == "Failed"}

    assert 60 < len(failed) < 140
    assert failed == {order for order in orders if steps.last(order, 4).status == "Failed"}


def test_step_has_one_key_and_different_steps_have_different_keys() -> None:
    keys = {
        steps.key(order, step) for order in (ORDER, "801000000000002AAA") for step in (ACTIVATING, Step("Activated"))
    }

    assert len(keys) == 4
    assert steps.key(ORDER, ACTIVATING) == steps.key(ORDER, Step("Activating"))


def test_order_that_somebody_cancelled_is_not_activated() -> None:
    assert "Cancelled" not in steps.before(Step("Activated"))
    assert "Draft" not in steps.before(Step("Activated"))
