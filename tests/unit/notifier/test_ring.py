from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.ring import Entry, Ring
from tests.unit.notifier.worlds import ACCOUNT, ORDER, OTHER_ORDER, entry, status_at

# Gaps between offsets are transaction markers and aborted records.
LOGS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from((ORDER, OTHER_ORDER))), max_size=30)


def _entries(base: int, steps: list[tuple[int, str]]) -> list[Entry]:
    offset, made = base, []
    for gap, order_id in steps:
        offset += gap
        made.append(entry(offset, status_at(offset, offset, order_id=order_id)))
        offset += 1
    return made


@given(LOGS, st.integers(0, 3), st.integers(0, 12_000))
def test_ring_holds_exactly_the_newest_records_from_its_base_on(
    steps: list[tuple[int, str]], base: int, most_bytes: int
) -> None:
    entries = _entries(base, steps)
    ring = Ring(base, most_bytes)
    for each in entries:
        ring.append(each)

    held = [each for each in entries if each.offset >= ring.base]
    assert ring.since(0) == held
    assert len(ring) == len(held)
    assert ring.bytes == sum(each.size for each in held) <= most_bytes or not held
    for order_id in (ORDER, OTHER_ORDER):
        assert list(ring.of(order_id, 0)) == [each for each in held if each.order_id == order_id]
    assert set(ring.orders_of(ACCOUNT)) == {each.order_id for each in held}


@given(LOGS, st.integers(0, 3), st.integers(0, 12_000), st.integers(0, 3))
def test_fingerprint_below_any_held_offset_is_that_of_the_last_record_before_it(
    steps: list[tuple[int, str]], base: int, most_bytes: int, markers: int
) -> None:
    entries = _entries(base, steps)
    ring = Ring(base, most_bytes)
    for each in entries:
        ring.append(each)
    ring.advance(ring.pos + markers)

    for offset in range(ring.pos + 3):
        below = [each.fp for each in entries if each.offset < offset]
        unknown = None if base else 0
        expected = below[-1] if below else unknown
        held = ring.base <= offset <= ring.pos
        assert ring.fp_below(offset) == (expected if held else None)


def test_record_that_has_been_passed_is_refused() -> None:
    ring = Ring(0, 10**6)
    ring.advance(5)

    with pytest.raises(ValueError, match="offset 4"):
        ring.append(entry(4, status_at(4, 4)))


def test_many_records_pass_through_a_small_ring() -> None:
    ring = Ring(0, 50_000)
    for offset in range(5_000):
        ring.append(entry(offset, status_at(offset, offset)))

    assert ring.base + len(ring) == ring.pos == 5_000
    assert [each.offset for each in ring.since(4_998)] == [4_998, 4_999]
