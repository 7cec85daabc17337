"""No inversion of stream order goes unmarked, whatever is forgotten; what is delivered again is no inversion."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas import versions
from schemas.events import RecordChange
from schemas.versions import Version
from services.ingestor.inversions import Inversions, Judged

IDS = tuple(f"01t00000000000{n}AAA" for n in range(1, 7))
MS = 1_767_225_600_000


def version(at: int) -> Version:
    return versions.event_version(MS + at, at, 1)


def change(record: int, at: int, name: str = "", key: str | None = None) -> RecordChange:
    return RecordChange(
        kind="update",
        object="Product2",
        record_id=IDS[record],
        version=version(at),
        origin="cdc",
        fields={"IsDeleted": False, "Name": name},
        transaction_key=key or f"key-{at}",
        sequence=1,
    )


def marks(judged: Judged) -> list[tuple[str, Version]]:
    return [(change.record_id, change.version) for change in judged.changes if change.kind == "dirty"]


def test_versions_that_rise_are_passed_on_as_they_are() -> None:
    order = Inversions()

    for at in range(1, 5):
        judged = order.judge([change(0, at), change(1, at)])
        assert judged == Judged(changes=[change(0, at), change(1, at)])


def test_older_version_after_a_newer_one_marks_the_record_with_the_newest_seen() -> None:
    order = Inversions()
    order.judge([change(0, 9)])

    judged = order.judge([change(0, 7)])

    assert judged.changes[0] == change(0, 7)
    assert marks(judged) == [(IDS[0], version(9))]
    assert (judged.inverted, judged.repeated) == (1, set())
    assert marks(order.judge([change(0, 8)])) == [(IDS[0], version(9))]


def test_same_delivery_again_is_left_out_and_counted_and_is_no_inversion() -> None:
    order = Inversions()
    for at in (3, 5):
        order.judge([change(0, at), change(1, at)])

    judged = order.judge([change(0, 3), change(1, 3)])

    assert (judged.changes, judged.repeated, judged.inverted) == ([], {IDS[0], IDS[1]}, 0)
    assert judged.nothing_new


def test_one_version_with_two_contents_is_marked() -> None:
    order = Inversions()
    order.judge([change(0, 3, "a")])

    for other in (change(0, 3, "b"), change(0, 3, "a", key="another transaction")):
        judged = order.judge([other])
        assert (judged.contradicted, judged.inverted) == (1, 0)
        assert marks(judged) == [(IDS[0], version(3))]


def test_unknown_record_below_what_the_position_knows_counts_as_running_backward() -> None:
    order = Inversions(forgotten=version(5))

    assert marks(order.judge([change(0, 4)])) == [(IDS[0], version(5))]
    assert marks(order.judge([change(1, 6)])) == []


def test_change_with_its_own_mark_is_judged_as_one_delivery() -> None:
    order = Inversions()
    unclear = RecordChange(
        kind="dirty", object="Product2", record_id=IDS[0], version=version(2), origin="cdc", transaction_key="key-2"
    )

    assert order.judge([change(0, 2), unclear]).changes == [change(0, 2), unclear]


def test_memory_is_bounded_and_what_it_forgets_leaves_a_bound_behind() -> None:
    order = Inversions(most=2)
    for record in range(4):
        order.judge([change(record, 10 + record)])

    assert marks(order.judge([change(0, 9)])) == [(IDS[0], version(11))]
    assert marks(order.judge([change(5, 14)])) == []


deliveries = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), max_size=40)


@given(deliveries, st.integers(1, 6), st.integers(0, 40))
def test_whatever_is_forgotten_no_inversion_goes_unmarked(
    stream: list[tuple[int, int]], most: int, restart: int
) -> None:
    """A mark at or above the greatest version that came before of the record, also over a restart."""
    order, newest = Inversions(most=most), dict[int, Version]()
    for index, (record, at) in enumerate(stream):
        if index == restart:
            order = Inversions(forgotten=max(newest.values(), default=None), most=most)
        known = newest.get(record)
        judged = order.judge([change(record, at)])
        if known is not None and version(at) < known and IDS[record] not in judged.repeated:
            assert [mark >= known for _, mark in marks(judged)] == [True]
        newest[record] = max(known or version(at), version(at))
