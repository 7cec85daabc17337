"""The counterexamples that shaped the rule, each by its name in docs/correctness."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events import OrderStatus
from schemas.versions import StatusVersion
from services.notifier import verdict
from services.notifier.cursor import OrderCursor
from services.notifier.ring import Entry
from services.notifier.verdict import Plan
from services.notifier.view import View
from tests.unit.notifier.worlds import OTHER_ORDER, entry, ring, snapshot, state, status_at

X1, X2 = status_at(0, 1, "Draft"), status_at(1, 2, "Activating")
E1, E2 = entry(0, X1), entry(1, X2)


def cursor(
    following: int, shown: OrderStatus | None, fp: int = 0, *, hole: bool = False, terminal: bool = False
) -> OrderCursor:
    content = None if shown is None else state(shown).content
    return OrderCursor(following, None if shown is None else shown.version, content, terminal, hole, fp)


def shown_after(plan: Plan, entries: list[Entry]) -> list[StatusVersion]:
    """Versions that the client is shown, in order."""
    view = View.of(plan)
    first = [] if plan.state is None else [plan.state.version]
    return first + [each.version for each in entries if each.offset >= plan.join and view.accept(each)]


def decided(held: Any, at: OrderCursor | None, snap: verdict.Snapshot | None = None, end: int | None = None) -> Plan:
    plan = verdict.decide(held, at, held.pos if end is None else end, snap)
    assert plan is not None
    return plan


def test_cursor_inside_the_ring_goes_on_exactly() -> None:
    plan = decided(ring([E1, E2]), cursor(1, X1, E1.fp))

    assert plan.resume == "exact"
    assert shown_after(plan, [E1, E2]) == [X2.version]


def test_snapshot_is_joined_at_its_own_position_not_at_the_live_one() -> None:
    plan = decided(ring([E1, E2], pos=3), None, snapshot(X1, 1))

    assert (plan.resume, plan.join) == ("snapshot", 1)
    assert shown_after(plan, [E1, E2]) == [X1.version, X2.version]


def test_trimmed_range_is_never_called_exact() -> None:
    held = ring([E2], base=1)

    assert verdict.decide(held, cursor(0, None), 2, None) is None
    assert decided(held, cursor(0, None), snapshot(None, 0)).resume == "gap"


def test_client_that_leads_is_not_taken_back_in_time() -> None:
    plan = decided(ring([E1]), cursor(0, X2))

    assert plan.resume == "exact"
    assert shown_after(plan, [E1]) == []


def test_snapshot_primes_the_filter() -> None:
    plan = decided(ring([E1]), None, snapshot(X2, 0))

    assert shown_after(plan, [E1]) == [X2.version]


def test_snapshot_older_than_what_the_client_shows_is_not_sent() -> None:
    plan = decided(ring([E1, E2]), cursor(0, X2, hole=True), snapshot(X1, 1))

    assert plan.resume == "snapshot"
    assert shown_after(plan, [E1, E2]) == []


def test_gap_is_remembered_until_a_snapshot_heals_it() -> None:
    after_gap = cursor(3, X1, E2.fp, hole=True)

    assert verdict.decide(ring([E1, E2], pos=3), after_gap, 3, None) is None
    assert decided(ring([E1, E2], pos=3), after_gap, snapshot(X2, 2)).state == state(X2)


def test_gap_joins_where_both_the_client_and_the_instance_have_been() -> None:
    other = entry(5, status_at(5, 5, order_id=OTHER_ORDER))
    held = ring([other], base=5)

    behind = decided(held, cursor(2, X1), snapshot(X1, 1))
    assert (behind.resume, behind.join, behind.hole_until, behind.last) == ("gap", 6, 6, X1.version)
    ahead = decided(held, cursor(8, X1, hole=True), snapshot(X1, 1), end=9)
    assert (ahead.join, ahead.hole_until) == (8, 8)


def test_cursor_ahead_of_the_instance_is_exact_and_checked_later() -> None:
    plan = decided(ring([E1]), cursor(2, X2, 77), end=2)

    assert (plan.resume, plan.join, plan.ahead) == ("exact", 2, 77)


@pytest.mark.parametrize(
    ("following", "fp", "end"),
    [(5, 0, 2), (1, E1.fp ^ 1, 2), (2, E1.fp, 2), (0, 9, 2)],
    ids=["beyond the end", "other record below", "fingerprint of another place", "something below nothing"],
)
def test_cursor_of_another_log_takes_a_snapshot_at_its_position(following: int, fp: int, end: int) -> None:
    held = ring([E1, E2])

    assert verdict.decide(held, cursor(following, X1, fp), end, None) is None
    plan = decided(held, cursor(following, X1, fp), snapshot(X2, 2), end)
    assert (plan.resume, plan.join) == ("snapshot", 2)


def test_cursor_at_a_cold_instances_base_is_not_believed_blindly() -> None:
    held = ring([entry(5, status_at(5, 5))], base=5)

    assert verdict.decide(held, cursor(5, X1, 0), 6, None) is None


def test_state_equal_in_content_moves_the_version_and_is_not_shown_again() -> None:
    said = status_at(0, 1, "Failed", reason="LINE_UNAVAILABLE")
    echo = status_at(1, 2, "Failed")
    plan = decided(ring([]), cursor(0, said, hole=True), snapshot(echo, 2))

    assert plan.state is None
    assert plan.last == echo.version
    assert plan.shown == state(said).content


def test_order_without_a_row_is_followed_from_the_rows_position() -> None:
    plan = decided(ring([E1, E2]), None, snapshot(None, 0))

    assert shown_after(plan, [E1, E2]) == [X1.version, X2.version]
