from __future__ import annotations

from services.notifier.view import BURST, View
from tests.unit.notifier.worlds import entry, status_at

STATUSES = ("Draft", "Activating")


def test_each_change_of_status_or_reason_is_shown_once() -> None:
    view = View(0)
    said = [
        ("Draft", None),
        ("Draft", None),
        ("Activating", None),
        ("Activating", "SIM_SHIPPED"),
        ("Activating", None),
        ("Activating", "SIM_SHIPPED"),
        ("Activating", "ADDRESS_CHECK"),
        ("Draft", None),
    ]
    entries = [entry(n, status_at(n, n, status, reason=reason)) for n, (status, reason) in enumerate(said)]

    assert [each.offset for each in entries if view.accept(each)] == [0, 2, 3, 6, 7]
    assert view.last == entries[-1].version


def test_late_version_is_not_shown_and_moves_nothing_back() -> None:
    view = View(0)
    newer, late = entry(0, status_at(0, 9, "Activating")), entry(1, status_at(1, 3, "Draft"))

    assert [view.accept(newer), view.accept(late)] == [True, False]
    assert (view.last, view.next) == (newer.version, 2)


def test_long_absence_skips_the_oldest_states_and_counts_them() -> None:
    entries = [entry(n, status_at(n, n, STATUSES[n % 2])) for n in range(BURST + 10)]
    view = View(0)

    shown = list(view.replay(entries))

    assert [each.offset for each, _ in shown] == list(range(10, BURST + 10))
    assert [skipped for _, skipped in shown] == [10] + [0] * (BURST - 1)
