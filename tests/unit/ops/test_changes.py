"""One change on its way: which telling is its own, and when nothing more is to come."""

from __future__ import annotations

import pytest

from services.ops import changes
from services.ops.changes import QUIET_MS, Change
from services.projector.log import Place
from tests.integration.projector import harness

OWN = frozenset({"catalog:sku:A", "catalog:list:*"})
OTHER = frozenset({"catalog:sku:B"})


def change(row_ms: int | None = None, tags: frozenset[str] = OWN) -> Change:
    return Change(Place("t", 0), 7, "Product2", "01t", "update", 1_000, 1_040, "v", tags=set(tags), row_ms=row_ms)


def test_its_telling_is_the_first_of_its_tags_after_its_row() -> None:
    one = change(row_ms=1_100)
    for at, tags in ((1_045, OWN), (1_101, OTHER), (1_105, frozenset({"catalog:list:*"})), (1_300, OWN)):
        one.told(at, tags)

    one.settle(untold=True, now_ms=1_400)

    assert (one.row_ms, one.told_ms, one.done) == (1_100, 1_105, True)
    assert one.after() == {"log": 40, "row": 100, "told": 105, "socket": None}


def test_what_was_told_before_the_row_was_looked_for_puts_the_row_there_earlier() -> None:
    one = change(row_ms=2_000)
    one.told(1_060, OWN)

    one.settle(untold=False, now_ms=2_000)

    assert (one.row_ms, one.told_ms) == (1_060, 1_060)


def test_while_its_tags_wait_an_earlier_telling_is_not_its_own() -> None:
    one = change(row_ms=2_000)
    one.told(1_060, OWN)

    one.settle(untold=True, now_ms=2_000 + 2 * QUIET_MS)

    assert (one.told_ms, one.done) == (None, False)


def test_what_was_told_before_it_was_written_is_of_another_change() -> None:
    one = change(row_ms=1_100)
    one.told(900, OWN)

    one.settle(untold=False, now_ms=1_101)

    assert not one.heard
    assert not one.done


@pytest.mark.parametrize(
    ("tags", "after_ms", "quiet"), [(OWN, 1, False), (OWN, QUIET_MS + 1, True), (frozenset(), 1, True)]
)
def test_a_row_that_stayed_as_it_was_tells_nothing(tags: frozenset[str], after_ms: int, quiet: bool) -> None:
    one = change(row_ms=1_100, tags=tags)

    one.settle(untold=False, now_ms=1_100 + after_ms)

    assert (one.quiet, one.done) == (quiet, quiet)


def test_an_awaited_stream_is_waited_for() -> None:
    one = changes.of(Place("order.status.v1", 1), 3, harness.T0 + 20, harness.status(1, "Activated"))
    one.tags, one.awaited, one.row_ms, one.told_ms = set(OWN), True, harness.T0 + 30, harness.T0 + 31

    waiting = one.done
    one.socket_ms = harness.T0 + 25

    assert (waiting, one.done) == (False, True)
    assert one.after() == {"log": 20, "row": 30, "told": 31, "socket": 25}
    assert one.line().endswith("commit → log 20 → row 30 → told 31 → socket 25  ms")


def test_what_a_read_has_found_begins_at_the_log() -> None:
    one = changes.of(Place("sf.product2.v1", 0), 1, harness.T0, harness.product(1, "A"))

    assert one.after()["log"] == 0
    assert "read → log 0 → row - " in one.line()
